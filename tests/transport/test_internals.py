"""What we rely on of Faust and aiokafka beyond their documentation. What a release changes fails here."""

import inspect
import re

import aiokafka
import faust
import mode
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.consumer import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.sender import SendProduceReqHandler
from aiokafka.protocol.commit import OffsetCommitRequest
from faust.app.base import App
from faust.tables import TableManager
from faust.tables.recovery import Recovery
from faust.transport import conductor
from faust.transport.consumer import Consumer as BaseConsumer
from faust.transport.consumer import ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver
from faust.transport.producer import Producer as BaseProducer

from streams import transport, worker


def source(of: object) -> str:
    return inspect.getsource(getattr(of, "fun", of))  # mode wraps the tasks of a service


def parameters(of: object) -> list[str]:
    return list(inspect.signature(of).parameters)


def test_the_versions_are_those_whose_sources_were_read():
    assert (faust.__version__, aiokafka.__version__) == ("0.15.3", "0.14.0")


@pytest.mark.parametrize(
    ("ours", "theirs", "names"),
    [
        (
            transport.Consumer,
            driver.Consumer,
            [
                "_new_consumer_thread",
                "on_partitions_revoked",
                "on_partitions_assigned",
                "perform_seek",
                "getmany",
                "force_commit",
                "on_buffer_full",
                "on_buffer_drop",
            ],
        ),
        (
            transport.ConsumerThread,
            driver.AIOKafkaConsumerThread,
            [
                "_create_worker_consumer",
                "on_partitions_revoked",
                "on_partitions_assigned",
                "_commit",
                "verify_event_path",
            ],
        ),
        (transport.Producer, driver.Producer, ["_settings_auth", "_settings_extra", "_new_producer"]),
    ],
)
def test_what_is_overridden_is_there_and_takes_the_same(ours: type, theirs: type, names: list[str]):
    for name in names:
        assert parameters(getattr(ours, name)) == parameters(getattr(theirs, name)), name


def test_the_application_makes_its_transport_and_its_directories_where_we_step_in():
    assert "self._new_transport()" in source(App.transport.fget)
    assert "self._new_producer_transport()" in source(App.producer_transport.fget)
    assert "self._create_directories()" in source(App.on_first_start)


def test_the_drain_loop_takes_pairs_from_getmany_and_skips_nothing_without_a_read_offset():
    drain = source(BaseConsumer._drain_messages)
    assert "async for tp, message in ait" in drain
    assert "if r_offset is None or offset >= r_offset" in drain
    assert "if gap > 1 and r_offset" in drain
    assert "callback(message), self.suspend_flow.wait()" in drain


def test_a_commit_comes_through_force_commit_on_a_timer_and_at_the_end():
    assert "_commit_handler" in vars(BaseConsumer)
    assert "self.force_commit(" in source(BaseConsumer.commit)
    assert "self._thread.commit(offsets)" in source(ThreadDelegateConsumer._commit)
    assert "self._commit, offsets" in source(driver.AIOKafkaConsumerThread.commit)
    assert "self._commit_fut" in source(BaseConsumer.maybe_wait_for_commit_to_finish)


def test_the_seek_comes_after_a_rebalance_and_before_records_flow():
    resume = source(Recovery._resume_streams)
    assert resume.index("consumer.perform_seek()") < resume.index("consumer.resume_flow()")
    assert "if self.app.consumer_generation_id != generation_id" in resume
    assert "if not self.tables or" in source(Recovery)
    assert "perform_seek(), timeout=self.app.conf.broker_request_timeout" in resume
    assert re.search(r"stopped:[^:]+raise ServiceStopped", source(Recovery._wait)), "a time-out is no error to it"


def test_the_tables_are_waited_for_and_then_started_as_we_start_them():
    theirs, ours = source(TableManager.on_start), source(worker.NoTables.on_start)
    for step in ("self._update_channels()", "self.recovery.start()"):
        assert step in theirs
        assert step in ours
    assert "self._tables_registered.set()" in source(TableManager._update_channels)


def test_the_time_for_a_seek_is_ours_to_choose_and_other_requests_have_their_own():
    assert source(driver).count("conf.broker_request_timeout") == 3  # ends of topics, and clients that are not used
    assert "broker_request_timeout" not in source(driver.Producer)


def test_a_rebalance_stops_the_flow_and_empties_the_agents_queue_before_it_tells_us():
    revoked = source(App._on_partitions_revoked)
    assert revoked.index("consumer.stop_flow") < revoked.index("self.flow_control.clear")
    listener = source(driver.ConsumerRebalanceListener)
    assert "self._thread.app.consumer_generation_id = generation" in listener
    assert "thread.on_partitions_revoked(" in listener


def test_the_group_meets_again_only_when_the_revocation_has_been_answered():
    prepare = source(GroupCoordinator._on_join_prepare)
    assert "on_partitions_revoked" in prepare
    assert "await" in prepare[prepare.index("on_partitions_revoked") :]


def test_a_full_agent_queue_makes_the_reader_wait():
    assert "asyncio.ensure_future(dest_chan.put(dest_event))" in source(conductor.ConductorCompiler.build)


def test_a_topic_without_acks_is_not_tracked():
    assert "if self.app.topics.acks_enabled_for(message.topic)" in source(BaseConsumer.ack)
    assert re.search(r"if channel\.acks:\s+self\._acking_topics\.add\(topic\)", source(conductor.Conductor))


def test_getmany_raises_what_the_coordinator_has_parked():
    assert "self._coordinator.check_errors()" in source(AIOKafkaConsumer.getmany)


def test_who_was_thrown_out_is_of_no_generation_before_partitions_are_revoked():
    assert "self.generation = OffsetCommitRequest.DEFAULT_GENERATION_ID" in source(GroupCoordinator.reset_generation)
    assert OffsetCommitRequest.DEFAULT_GENERATION_ID < 0
    assert "self.generation," in source(GroupCoordinator._do_commit_offsets)


def test_a_paused_partition_is_not_fetched_and_an_unread_one_holds_its_broker_up():
    actions = source(Fetcher._get_actions_per_node)
    assert "elif tp_state.paused:" in actions
    assert "if node_id in backoff_by_nodes" in actions


def test_what_was_fetched_is_unpacked_where_we_step_in():
    assert "self._fetcher = Fetcher(" in source(AIOKafkaConsumer.start)
    assert "await self._client.send(node_id, request)" in source(Fetcher._proc_fetch_request)
    answered = source(Fetcher._proc_fetch_request).split("if not assignment.active")[1]
    assert "await " not in answered, "nothing comes between an answer and what is made of it"
    assert "records = MemoryRecords(part_data[-1])" in answered
    assert "self._records[tp] = FetchResult(" in answered
    assert "self._proc_fetch_request(assignment, node_id, request)" in source(Fetcher._fetch_requests_routine)
    assert "for msg in self._partition_records:" in source(FetchResult.getall)
    assert "self._records_iterator = self._unpack_records()" in source(PartitionRecords.__init__)
    assert "return next(self._records_iterator)" in source(PartitionRecords.__next__)


def test_records_are_left_out_and_the_place_follows_as_we_do_it():
    unpack = source(PartitionRecords._unpack_records)
    assert unpack.count("self.next_fetch_offset = ") == 4
    assert "if self._check_crcs and not next_batch.validate_crc():" in unpack
    assert "if record.offset < self.next_fetch_offset:" in unpack
    assert "self.next_fetch_offset = record.offset + 1" in unpack


def test_the_first_connection_is_known_by_its_name_and_closes_more_than_once():
    bootstrap = source(AIOKafkaClient.bootstrap)
    assert "bootstrap_conn = await create_conn(" in bootstrap
    assert "metadata = await bootstrap_conn.send(" in bootstrap
    assert "except (KafkaError, asyncio.TimeoutError) as err" in bootstrap, "what is cancelled closes nothing"
    assert re.search(r"except:\s+self\.close\(\)", source(AIOKafkaConnection.connect)), "before that it closes itself"
    assert "if self._reader is not None:" in source(AIOKafkaConnection.close)


def test_assignors_are_called_on_the_object_that_was_given():
    assert "assignor.assign(self._cluster, member_metadata)" in source(GroupCoordinator)
    assert "assignor.on_assignment(assignment)" in source(GroupCoordinator)


def test_the_producers_security_is_read_from_where_we_say_it():
    assert "**self._settings_auth()" in source(driver.Producer._new_producer)
    assert issubclass(driver.Producer, BaseProducer)
    assert source(mode.Service.wait)


def test_a_producer_writes_events_by_its_clients_send_and_at_once_where_the_connection_is_there():
    assert "await self._client.send(node_id, request)" in source(SendProduceReqHandler)
    send = source(AIOKafkaClient.send)
    assert (
        send.index("await self.ready(") < send.index("self._conns[(node_id, group)].send(") < send.index("await future")
    )
    assert "await" not in source(AIOKafkaClient._get_conn).split("return conn")[0]
    assert not inspect.iscoroutinefunction(AIOKafkaConnection.send)
    assert source(driver.Producer.on_start).count("self._new_producer()") == 1
