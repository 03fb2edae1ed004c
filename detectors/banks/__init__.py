"""Drift detectors side by side: a *bank* is one kind with one setting, a column for each signal it watches.

``contract``      what every bank is held to, and what a ``Finding`` says
``registry``      ``build(name, parameters, columns)``, ``check``, ``accepts``, ``NAMES``, ``warm_up``
``adwin``         ADWIN, compiled; decides update for update as River 0.26.1 does
``page_hinkley``  Page-Hinkley, the same way
``river``         River's own objects: the other detectors by name, any by import path
``evidence``      what those can say about a report
``parameters``    what a parameter may be
``sealed``        whose a snapshot is: a digest of kind and parameters
``packed``        rows of numbers as few bytes and back
``plain``         River's objects as plain bytes and back
``jit``           how a kernel is compiled, and why it may use nothing from outside its file

A step in the second of two columns, found while the rows come in pieces:

>>> import numpy as np
>>> from detectors.banks import registry
>>> bank = registry.build("page_hinkley", {"threshold": 20.0}, columns=2)
>>> rows = np.zeros((200, 2))
>>> rows[100:, 1] = 1.0
>>> bank.update(rows[:110])
[]
>>> (finding,) = bank.update(rows[110:140])
>>> 110 + finding.row, finding.column, finding.since, finding.mean_before, finding.mean_after
(122, 1, 23, 0.0, 1.0)

A snapshot is plain bytes; a bank with the same parameters goes on from it exactly:

>>> other = registry.build("page_hinkley", {"threshold": 20.0})
>>> other.restore(bank.snapshot())
>>> other.columns, other.snapshot() == bank.snapshot()
(2, True)

A detector costs its update and its memory. ADWIN keeps about 50 bytes for each doubling of its window and column;
Page-Hinkley 96 bytes in all; DDM, EDDM and the HDDMs are Python objects of one to five kilobytes; KSWIN keeps its
window and draws from it, and takes 0.4 ms an update, too slow for anything but a few signals.
"""
