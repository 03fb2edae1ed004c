"use strict";
// Draws the figures from the numbers that lie in the page, each when it comes into view; opens what a link points to;
// searches incidents. Everything here is text or data: nothing from outside is ever taken for markup.
(() => {
  const PRINTED_PX = 680;          // the width of a figure on A4
  const PRINTED_SECTIONS_MAX = 40; // with more, only what is open is printed
  const TABLE_ROWS_MAX = 60;
  const ROW_PX = 18;

  // ---- numbers and words -------------------------------------------------------------------------------------------

  const blocks = new Map();
  function numbers(id) {
    if (!blocks.has(id)) blocks.set(id, JSON.parse(document.getElementById(`data-${id}`).textContent));
    return blocks.get(id);
  }
  function number(value) {
    if (value === null || value === undefined) return "—";
    if (Number.isInteger(value)) return value.toLocaleString("en");
    const size = Math.abs(value);
    return size >= 1e4 && size < 1e15 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
  }
  const two = (value) => String(value).padStart(2, "0");
  function when(ts, length = Infinity) {
    const at = new Date(ts);
    const day = `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;
    return length >= 86400000 && length !== Infinity ? day : `${day} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  }
  function lasting(ms) {
    for (const [unit, length] of [["days", 86400000], ["hours", 3600000], ["minutes", 60000]]) {
      if (ms >= 2 * length) return `${Math.floor(ms / length)} ${unit}`;
      if (ms === length) return unit.slice(0, -1);
    }
    return `${Math.round(ms / 1000)} seconds`;
  }
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  function tick(ts) { // a date where a day begins, the time of the day elsewhere
    const at = new Date(ts);
    if (ts % 86400000) return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
    return at.getUTCDate() === 1 && at.getUTCMonth() === 0 ? when(ts, 86400000) : `${MONTHS[at.getUTCMonth()]} ${at.getUTCDate()}`;
  }
  const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

  // ---- looks ---------------------------------------------------------------------------------------------------------

  function colours() {
    const probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
    const found = { font: getComputedStyle(document.body).fontFamily };
    for (const name of ["paper", "ink", "quiet", "line", "critical", "warning", "info", "traffic", "first", "second",
      "third", "fourth", "few", "many"]) {
      probe.style.color = `var(--${name})`;
      found[name] = getComputedStyle(probe).color;
    }
    probe.remove();
    return found;
  }
  const THICK = { critical: 0.82, warning: 0.56, info: 0.32 }; // severity shows without colour as well
  const SYMBOLS = ["circle", "triangle", "diamond", "rect"];

  function basis(c) {
    return {
      useUTC: true,
      animation: false,
      color: [c.first, c.second, c.third, c.fourth, c.traffic, c.quiet],
      textStyle: { color: c.ink, fontFamily: c.font },
      tooltip: {
        renderMode: "richText", confine: true, backgroundColor: c.paper, borderColor: c.line,
        textStyle: { color: c.ink, fontSize: 12 },
      },
    };
  }
  const tickLabel = (c) => ({ color: c.quiet, hideOverlap: true, fontSize: 11, formatter: tick, alignMinLabel: "left", alignMaxLabel: "right" });
  function timeAxis(c, from, to, more = {}) {
    return {
      type: "time", min: from, max: to, axisLine: { onZero: false, lineStyle: { color: c.quiet } }, splitLine: { show: false },
      axisLabel: tickLabel(c), axisTick: { lineStyle: { color: c.quiet } }, ...more,
    };
  }
  function valueAxis(c, more = {}) {
    return {
      type: "value", axisLabel: { color: c.quiet, fontSize: 11, formatter: number, hideOverlap: true }, splitNumber: 3,
      splitLine: { lineStyle: { color: c.line } }, ...more,
    };
  }
  function rowAxis(c, names, width, more = {}) {
    return {
      type: "category", data: names.map((_, row) => String(row)), inverse: true, axisTick: { show: false },
      axisLine: { show: false }, splitArea: { show: false },
      axisLabel: {
        color: c.ink, fontSize: 11, interval: 0, width, overflow: "truncate",
        formatter: (row) => short(names[Number(row)] ?? "", 40),
      },
      ...more,
    };
  }
  const nameWidth = (width) => Math.max(70, Math.min(180, Math.round(width * 0.2)));
  const stretches = (d, values) => values.map((value, at) => [d.first + at * d.step, value]);
  const heading = (c, text, top) => ({ text, left: 0, top, textStyle: { color: c.quiet, fontSize: 11, fontWeight: "normal" } });

  // An incident as a bar. The data of one: [opened, over, severity, link, signals, pages], before it perhaps a row.
  function bar(c, row, [from, over, severity, link, signals, pages], end) {
    const paged = pages === 1 ? "1 page" : `${pages} pages`;
    return {
      value: [from, row, over ?? end], severity, link: `#${link}`,
      said: `${short(signals, 60)}\n${severity}, ${paged}\n${when(from)} ${over === null ? "and still open" : `to ${when(over)}`}`,
    };
  }
  function bars(c, data, more = {}) {
    return {
      type: "custom", data, encode: { x: [0, 2], y: 1 }, cursor: "pointer", clip: true,
      renderItem: (parameters, api) => {
        const one = data[parameters.dataIndex];
        const [left, middle] = api.coord([one.value[0], one.value[1]]);
        const right = api.coord([one.value[2], one.value[1]])[0];
        const high = Math.max(3, Math.min(api.size([0, 1])[1], 26) * THICK[one.severity]);
        return {
          type: "rect",
          shape: { x: left, y: middle - high / 2, width: Math.max(3, right - left), height: high, r: 2 },
          style: { fill: c[one.severity], opacity: 0.8, stroke: c.paper, lineWidth: 0.5 },
        };
      },
      tooltip: { formatter: (parameters) => parameters.data.said }, ...more,
    };
  }
  function frames(c, data, more = {}) { // known changes: [row, from, to, what, found]
    return {
      type: "custom", data: data.map((each) => ({ value: each.slice(0, 3), said: `${short(each[3] || "known change", 80)}\n${when(each[1])} to ${when(each[2])}\n${each[4] ? "found" : "missed"}` })),
      encode: { x: [1, 2], y: 0 }, clip: true, z: 1,
      renderItem: (parameters, api) => {
        const row = api.value(0);
        const [left, middle] = api.coord([api.value(1), Math.max(row, 0)]);
        const right = api.coord([api.value(2), Math.max(row, 0)])[0];
        const whole = parameters.coordSys;
        const high = row < 0 ? whole.height : api.size([0, 1])[1] * 0.92;
        return {
          type: "rect",
          shape: { x: left, y: row < 0 ? whole.y : middle - high / 2, width: Math.max(2, right - left), height: high },
          style: { fill: "none", stroke: c.fourth, lineWidth: 1.4, lineDash: [4, 3] },
        };
      },
      tooltip: { formatter: (parameters) => parameters.data.said }, ...more,
    };
  }
  function marks(c, d) { // deployments and known changes over a figure of one model
    return {
      markLine: {
        silent: true, symbol: ["none", "triangle"], symbolSize: 8, lineStyle: { color: c.third, type: "dashed" },
        label: { show: false }, data: d.deploys.map(([ts]) => ({ xAxis: ts })),
      },
      markArea: {
        silent: true, itemStyle: { color: "transparent", borderColor: c.fourth, borderWidth: 1.2, borderType: "dashed" },
        data: d.changes.map(([from, to]) => [{ xAxis: from }, { xAxis: to }]),
      },
    };
  }

  // ---- the figures: numbers to an option of ECharts ------------------------------------------------------------------

  const FIGURES = {
    calendar(d, c, width) {
      const { first, hours, columns, rows, cells } = d.calendar;
      const left = nameWidth(width) + 12;
      const together = Math.max(1, Math.ceil(columns / Math.max(1, Math.floor((width - left) / 7))));
      const merged = new Map();
      for (const [column, row, pages] of cells) {
        const key = `${Math.floor(column / together)} ${row}`;
        merged.set(key, (merged.get(key) ?? 0) + pages);
      }
      const most = Math.max(2, ...merged.values());
      const data = [...merged].map(([key, pages]) => ({ // the text in a cell is dark on few, light on many
        value: [...key.split(" ").map(Number), pages], label: { color: (pages - 1) / (most - 1) > 0.45 ? c.paper : c.ink },
      }));
      const count = Math.ceil(columns / together), length = hours * together * 3600000;
      const roomy = (width - left) / count >= 16;
      return {
        ...basis(c),
        grid: { left, right: 8, top: 4, bottom: 40, containLabel: false },
        xAxis: {
          type: "category", data: Array.from({ length: count }, (_, at) => String(at)), axisTick: { show: false },
          axisLine: { lineStyle: { color: c.line } }, splitArea: { show: false },
          axisLabel: { color: c.quiet, fontSize: 11, hideOverlap: true, formatter: (at) => tick(first + Number(at) * length) },
        },
        yAxis: rowAxis(c, rows, nameWidth(width), { splitLine: { show: true, lineStyle: { color: c.line } } }),
        visualMap: { show: false, min: 1, max: most, inRange: { color: [c.few, c.many] } },
        series: [{
          type: "heatmap", data, itemStyle: { borderColor: c.paper, borderWidth: 1 },
          label: { show: roomy, fontSize: 11, formatter: (p) => String(p.value[2]) },
          tooltip: { formatter: (p) => `${short(rows[p.value[1]], 60)}\nfrom ${when(first + p.value[0] * length)}\n${p.value[2]} page${p.value[2] === 1 ? "" : "s"}` },
        }],
      };
    },
    budget(d, c) {
      const told = d.budget, end = told.first + told.step * told.pages.length;
      const so_far = (values) => [[told.first, 0], ...values.map((value, at) => [told.first + (at + 1) * told.step, value])];
      const line = (name, values, more) => ({ name, type: "line", step: "end", symbol: "none", data: so_far(values), ...more });
      const series = [line("pages", told.pages, { areaStyle: { opacity: 0.12 } })];
      if (told.false) series.push(line("of these, no known change explains", told.false, { lineStyle: { type: "dotted", width: 2 } }));
      if (told.allowed !== null) {
        series.push({
          name: "false pages that the budgets bear", type: "line", symbol: "none", color: c.critical,
          lineStyle: { type: "dashed" }, data: [[told.first, 0], [end, told.allowed]],
        });
      }
      return {
        ...basis(c), legend: { top: 0, left: 0, textStyle: { color: c.ink, fontSize: 11 }, itemWidth: 22 },
        tooltip: { ...basis(c).tooltip, trigger: "axis" },
        grid: { left: 48, right: 12, top: 50, bottom: 26 }, xAxis: timeAxis(c, told.first, end), yAxis: valueAxis(c), series,
      };
    },
    timeline(d, c, width) {
      const left = nameWidth(width) + 12;
      return {
        ...basis(c),
        grid: { left, right: 12, top: 4, bottom: 78 },
        xAxis: timeAxis(c, d.from, d.to),
        yAxis: rowAxis(c, d.rows.map((row) => row.name), nameWidth(width), { triggerEvent: true, splitLine: { show: true, lineStyle: { color: c.line } } }),
        dataZoom: [{ type: "slider", height: 22, bottom: 8, borderColor: c.line, textStyle: { color: c.quiet }, filterMode: "weakFilter", brushSelect: false, showDataShadow: false }],
        series: [
          frames(c, d.changes),
          bars(c, d.incidents.map(([row, ...one]) => bar(c, row, one, d.to))),
          {
            type: "scatter", symbol: "triangle", symbolSize: 9, itemStyle: { color: c.third, borderColor: c.paper },
            data: d.deploys.map(([row, ts, version]) => ({ value: [ts, row], said: `version ${short(version, 60)}\nfrom ${when(ts)}` })),
            tooltip: { formatter: (p) => p.data.said },
          },
        ],
      };
    },
    model(d, c, width) {
      const end = d.first + d.step * d.count, titles = [], grid = [], xAxis = [], yAxis = [], series = [];
      let top = 0;
      const pane = (title, height, axis, of) => {
        const index = grid.length;
        titles.push(heading(c, title, top));
        grid.push({ left: 52, right: 12, top: top + 20, height });
        xAxis.push(timeAxis(c, d.first, end, { gridIndex: index, axisLabel: { show: false } }));
        yAxis.push({ ...axis, gridIndex: index });
        for (const each of of) series.push({ ...each, xAxisIndex: index, yAxisIndex: index });
        top += height + 32;
      };
      const lanes = packed(d.incidents, end);
      const rows = Math.max(1, ...lanes.map(([lane]) => lane + 1));
      pane("incidents, critical ones thickest", 90, { type: "value", min: -0.5, max: rows - 0.5, show: false, inverse: true },
        [bars(c, lanes.map(([lane, one]) => bar(c, lane, one, end)), marks(c, d))]);
      pane(`predictions in every ${lasting(d.step)}`, 80, valueAxis(c),
        [{ name: "predictions", type: "bar", barCategoryGap: "0%", color: c.traffic, data: stretches(d, d.predictions ?? []), ...marks(c, d) }]);
      const losses = [["loss", "mean loss"], ["log_loss", "mean log loss"]].filter(([key]) => d[key]);
      pane(losses.map(([, name]) => name).join(", ") || "mean loss: no label came", 100, valueAxis(c, { scale: true }),
        losses.map(([key, name], at) => ({ name, type: "line", symbol: "none", connectNulls: true, color: at ? c.second : c.first, lineStyle: { width: 1.4, type: at ? "dashed" : "solid" }, data: stretches(d, d[key]), ...(at ? {} : marks(c, d)) })));
      const detectors = Object.entries(d.statistics);
      pane("statistic ÷ its threshold, where a detector reported", 110, { ...valueAxis(c), type: "log", min: 0.5 },
        detectors.map(([name, told], at) => ({
          name: short(name, 40), type: "scatter", symbol: SYMBOLS[at % SYMBOLS.length], symbolSize: 7, color: basis(c).color[at % 6],
          data: told.map(([ts, times, signal, disposition]) => ({ value: [ts, Math.max(times, 0.5)], said: `${short(signal, 60)}\n${name}: ${number(times)} times its threshold\n${disposition.replaceAll("_", " ")}\n${when(ts)}` })),
          tooltip: { trigger: "item", formatter: (p) => p.data.said },
          ...(at ? {} : { markLine: { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: c.critical, type: "dashed" }, data: [{ yAxis: 1 }, ...d.deploys.map(([ts]) => ({ xAxis: ts, lineStyle: { color: c.third } }))] } }),
        })));
      const last = xAxis[xAxis.length - 1];
      last.axisLabel = tickLabel(c);
      xAxis[0].show = false;
      return {
        ...basis(c), title: titles, grid, xAxis, yAxis, series,
        tooltip: { ...basis(c).tooltip, trigger: "axis", formatter: axisWords(d.step) },
        axisPointer: { link: [{ xAxisIndex: "all" }], lineStyle: { color: c.quiet } },
        legend: { bottom: 0, left: 0, data: detectors.map(([name]) => short(name, 40)), textStyle: { color: c.ink, fontSize: 11 }, type: width < 500 ? "scroll" : "plain" },
      };
    },
    labels(d, c) {
      const end = d.first + d.step * d.count;
      const series = [
        { name: "predictions", type: "bar", color: c.traffic, barGap: "-100%", barCategoryGap: "0%", itemStyle: { opacity: 0.45 }, data: stretches(d, d.predictions ?? []) },
        { name: "labels", type: "bar", color: c.third, barCategoryGap: "20%", data: stretches(d, d.joined ?? []) },
        { name: "predictions that wait for their label", type: "line", symbol: "none", connectNulls: true, yAxisIndex: 1, color: c.second, data: stretches(d, d.pending ?? []) },
      ];
      return lines(c, d.first, end, d.step, series, [valueAxis(c), valueAxis(c, { splitLine: { show: false } })]);
    },
    whatif(d, c, width) { // money, stacked: what each policy lost, and what it spent
      const left = nameWidth(width) + 12;
      return {
        ...basis(c), legend: { top: 0, left: 0, textStyle: { color: c.ink, fontSize: 11 }, itemWidth: 20 },
        tooltip: { ...basis(c).tooltip, trigger: "axis", formatter: (told) => [short(d.names[told[0].dataIndex], 60), ...told.map((each) => `${each.seriesName}: ${number(each.value)} ${d.currency}`), `total: ${d.totals[told[0].dataIndex]}`].join("\n") },
        grid: { left, right: 96, top: 30, bottom: 34 },
        xAxis: valueAxis(c), yAxis: rowAxis(c, d.names, nameWidth(width)),
        series: d.parts.map(([name, values], at) => ({
          name, type: "bar", stack: "cost", data: values, color: [c.critical, c.first, c.third, c.second][at], barWidth: "62%",
          itemStyle: { borderColor: c.paper, borderWidth: 0.5 },
          ...(at === d.parts.length - 1 ? { label: { show: true, position: "right", color: c.ink, fontSize: 11, formatter: (p) => short(d.totals[p.dataIndex], 14) } } : {}),
        })),
      };
    },
    latency(d, c) {
      const end = d.first + d.step * d.count;
      const series = [["latency", "mean, ms"], ["latency_max", "longest, ms"]].filter(([key]) => d[key]).map(([key, name], at) =>
        ({ name, type: "line", symbol: "none", connectNulls: true, lineStyle: { width: 1.4, type: at ? "dotted" : "solid" }, data: stretches(d, d[key]) }));
      for (const [name, values] of Object.entries(d.others)) series.push({ name: short(name, 40), type: "line", symbol: "none", connectNulls: true, data: stretches(d, values) });
      return lines(c, d.first, end, d.step, series, [valueAxis(c)]);
    },
    signal(d, c, width, which) {
      const points = d.signals[which].points, end = d.first + d.step * d.count;
      const levels = points.filter((point) => point[3] !== null);
      const normal = points.filter((point) => point[2] !== null).map((point) => [point[0], point[2]]);
      if (normal.length) normal.unshift([d.first, normal[0][1]]), normal.push([end, normal[normal.length - 1][1]]);
      return {
        ...basis(c), tooltip: { ...basis(c).tooltip, trigger: "item" },
        grid: { left: 52, right: 10, top: 8, bottom: 22 },
        xAxis: timeAxis(c, d.first, end, { splitNumber: 2 }), yAxis: valueAxis(c, { scale: true, splitNumber: 2 }),
        series: [
          { type: "line", step: "end", symbol: "none", data: normal, color: c.quiet, lineStyle: { type: "dashed", width: 1.2 }, silent: true },
          {
            type: "custom", clip: true, encode: { x: [0, 1], y: [2, 3, 4] },
            data: levels.map((point) => [point[1] ?? point[0], point[0], point[3], point[4], point[5], point[7] === "opened" || point[7] === "grouped" ? 1 : 0]),
            renderItem: (parameters, api) => {
              const [left, middle] = api.coord([api.value(0), api.value(2)]), right = Math.max(left + 5, api.coord([api.value(1), api.value(2)])[0]);
              const colour = api.value(5) ? c.critical : c.first, children = [];
              const low = api.value(3), high = api.value(4);
              if (Number.isFinite(low) && Number.isFinite(high)) {
                const top = api.coord([api.value(0), high])[1], bottom = api.coord([api.value(0), low])[1];
                children.push({ type: "rect", shape: { x: left, y: top, width: right - left, height: Math.max(1, bottom - top) }, style: { fill: colour, opacity: 0.18 } });
              }
              children.push({ type: "line", shape: { x1: left, x2: right, y1: middle, y2: middle }, style: { stroke: colour, lineWidth: api.value(5) ? 3 : 1.6, lineDash: api.value(5) ? null : [3, 2] } });
              return { type: "group", children };
            },
            tooltip: { formatter: (p) => { const point = levels[p.dataIndex]; return `${number(point[2])} → ${number(point[3])}\n${short(point[6], 40)}, ${point[7].replaceAll("_", " ")}\n${when(point[0])}`; } },
          },
        ],
      };
    },
  };
  function lines(c, from, end, step, series, yAxis) {
    return {
      ...basis(c), legend: { top: 0, left: 0, textStyle: { color: c.ink, fontSize: 11 }, itemWidth: 20, data: series.map((each) => each.name) },
      tooltip: { ...basis(c).tooltip, trigger: "axis", formatter: axisWords(step) },
      grid: { left: 52, right: yAxis.length > 1 ? 52 : 12, top: 48, bottom: 24 }, xAxis: timeAxis(c, from, end), yAxis, series,
    };
  }
  function axisWords(step) {
    return (told) => {
      const seen = told.filter((each) => each.seriesType !== "custom" && each.seriesType !== "scatter" && each.value[1] !== null);
      return seen.length ? [`${when(seen[0].value[0])}, ${lasting(step)}`, ...seen.map((each) => `${each.seriesName}: ${number(each.value[1])}`)].join("\n") : "";
    };
  }
  function packed(incidents, end) { // lanes, so that no two bars lie on each other
    const free = [];
    return incidents.map((one) => {
      let lane = free.findIndex((until) => until <= one[0]);
      if (lane < 0) lane = free.length;
      free[lane] = one[1] ?? end;
      return [lane, one];
    });
  }

  // ---- the same as tables --------------------------------------------------------------------------------------------

  const thinned = (rows) => {
    const every = Math.ceil(rows.length / TABLE_ROWS_MAX);
    return rows.filter((_, at) => at % every === 0);
  };
  function columns(d, keys) {
    const there = keys.filter(([key]) => d[key]);
    const rows = Array.from({ length: d.count }, (_, at) => [when(d.first + at * d.step), ...there.map(([key]) => number(d[key][at]))]);
    return [["from", ...there.map(([, name]) => name)], thinned(rows.filter((row) => row.slice(1).some((cell) => cell !== "—")))];
  }
  const TABLES = {
    calendar: (d) => [["model", "from", "pages"], thinned(d.calendar.cells.map(([column, row, pages]) => [d.calendar.rows[row], when(d.calendar.first + column * d.calendar.hours * 3600000), number(pages)]))],
    budget: (d) => [["until", "pages so far", ...(d.budget.false ? ["unexplained"] : []), "the budgets bear"], thinned(d.budget.pages.map((pages, at) => [when(d.budget.first + (at + 1) * d.budget.step), number(pages), ...(d.budget.false ? [number(d.budget.false[at])] : []), d.budget.allowed === null ? "—" : number(d.budget.allowed * (at + 1) / d.budget.pages.length)]))],
    timeline: (d) => [["model", "from", "to", "severity", "signals"], thinned(d.incidents.map(([row, from, over, severity, , signals]) => [d.rows[row].name, when(from), over === null ? "still open" : when(over), severity, signals]))],
    model: (d) => columns(d, [["predictions", "predictions"], ["loss", "mean loss"], ["log_loss", "mean log loss"]]),
    labels: (d) => columns(d, [["predictions", "predictions"], ["joined", "labels"], ["pending", "waiting"]]),
    latency: (d) => columns(d, [["latency", "mean, ms"], ["latency_max", "longest, ms"]]),
  };
  function table([head, rows]) {
    const made = document.createElement("table"), fill = (row, cells, kind) => {
      for (const cell of cells) Object.assign(row.appendChild(document.createElement(kind)), { textContent: cell });
    };
    fill(made.createTHead().insertRow(), head, "th");
    const body = made.createTBody();
    for (const cells of rows) fill(body.insertRow(), cells, "td");
    const frame = document.createElement("div");
    frame.className = "wide";
    frame.tabIndex = 0;
    frame.append(made);
    return frame;
  }

  // ---- drawing -------------------------------------------------------------------------------------------------------

  const drawn = new Map(); // element → its chart and the width it was drawn for
  let palette = null;
  function draw(plot, width = plot.clientWidth) {
    if (!width) return;
    drawn.get(plot)?.chart.dispose();
    palette ??= colours();
    const { figure, of, number: which } = plot.dataset;
    const chart = echarts.init(plot, null, { renderer: "svg", width, height: plot.clientHeight });
    chart.setOption(FIGURES[figure](numbers(of), palette, width, Number(which ?? 0)));
    chart.on("click", (clicked) => {
      const link = clicked.data?.link ?? (clicked.targetType === "axisLabel" ? `#${numbers(of).rows?.[Number(clicked.value)]?.section}` : null);
      if (link) location.hash = link;
    });
    drawn.set(plot, { chart, width });
  }
  function redraw() {
    palette = null;
    for (const plot of drawn.keys()) draw(plot);
  }
  const inView = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      inView.unobserve(target);
      draw(target);
      resized.observe(target);
    }
    if (!performance.getEntriesByName("first-view").length) {
      requestAnimationFrame(() => setTimeout(() => performance.mark("first-view")));
    }
  }, { rootMargin: "200px" });
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const before = drawn.get(target);
      if (before && target.clientWidth && target.clientWidth !== before.width && !document.documentElement.dataset.print) draw(target);
    }
  });
  for (const plot of document.querySelectorAll(".plot")) inView.observe(plot);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  const opened = [];
  addEventListener("beforeprint", () => {
    const closed = [...document.querySelectorAll("details:not([open]):not(.numbers)")];
    if (closed.length <= PRINTED_SECTIONS_MAX) for (const section of closed) opened.push(section), (section.open = true);
    document.documentElement.dataset.print = "";
    palette = null;
    for (const plot of document.querySelectorAll(".plot")) {
      const width = plot.clientWidth;
      if (plot.checkVisibility()) draw(plot, plot.closest(".multiples") ? Math.min(width, PRINTED_PX / 2 - 12) : Math.min(width, PRINTED_PX));
    }
  });
  addEventListener("afterprint", () => {
    for (const section of opened.splice(0)) section.open = false;
    delete document.documentElement.dataset.print;
    redraw();
  });

  // ---- links, tables on demand, search -------------------------------------------------------------------------------

  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let section = target.closest("details"); section; section = section.parentElement.closest("details")) section.open = true;
    target.scrollIntoView();
    if (target.tagName === "SUMMARY") target.focus({ preventScroll: true });
  }
  addEventListener("hashchange", reveal);
  reveal();

  for (const section of document.querySelectorAll("details.numbers")) {
    section.addEventListener("toggle", () => {
      const { figure, of } = section.parentElement.querySelector(".plot").dataset;
      if (section.open && section.children.length === 1) section.append(table(TABLES[figure](numbers(of))));
    });
  }

  const wanted = document.getElementById("wanted");
  if (wanted) {
    const incidents = [...document.querySelectorAll("details.incident")], count = document.getElementById("count");
    wanted.closest("p").hidden = false;
    wanted.addEventListener("input", () => {
      const word = wanted.value.trim().toLowerCase();
      let shown = 0;
      for (const each of incidents) {
        each.hidden = !each.textContent.toLowerCase().includes(word);
        shown += !each.hidden;
      }
      count.textContent = word ? `${shown} of ${incidents.length}` : "";
    });
  }
})();
