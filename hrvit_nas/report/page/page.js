"use strict";
(() => {
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const settings = {
    responsive: true,
    displaylogo: false,
    toImageButtonOptions: { format: "svg" },
  };
  const said = document.getElementById("said");
  let quiet = 0;

  function say(text) {
    said.textContent = text;
    clearTimeout(quiet);
    quiet = setTimeout(() => { said.textContent = ""; }, 3000);
  }

  // Charts are drawn as they come near: a page of many runs is there at once, and browsers allow
  // but a few of the contexts that parallel coordinates take.
  function draw(element) {
    if (element.dataset.drawn) return;
    element.dataset.drawn = "yes";
    const figure = page.charts[element.id];
    Plotly.newPlot(element, figure.data, figure.layout, settings).then(() => {
      if (element.dataset.kind === "frontier") element.on("plotly_click", goTo);
      if (element.dataset.kind === "parallel") element.on("plotly_restyle", () => brushed(element));
    });
  }

  function goTo(event) {
    const point = event.points[0];
    const chapter = point.data && event.event.target.closest(".chart").dataset.chapter;
    const row = point.customdata && document.getElementById(`${chapter}-${point.customdata[0]}`);
    if (!row) return;
    row.querySelector("details").open = true;
    row.scrollIntoView({ block: "center" });
    row.querySelector("button").focus();
  }

  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        near.unobserve(entry.target);
        draw(entry.target);
      }
    }
  }, { rootMargin: "600px" });
  for (const element of document.querySelectorAll(".chart")) near.observe(element);

  // Brushing: architectures whose values lie in every brushed range.
  function chosen(element) {
    const parallel = page.parallels[element.id.replace(/-chart$/, "")];
    const ranges = element.data[0].dimensions.map((dimension) => {
      const range = dimension.constraintrange;
      if (!range || !range.length) return null;
      return Array.isArray(range[0]) ? range : [range];
    });
    if (ranges.every((range) => range === null)) return null;
    return new Set(parallel.archIds.filter((_, line) => ranges.every((range, axis) => {
      const value = parallel.axes[axis].values[line];
      return range === null || range.some(([low, high]) => low <= value && value <= high);
    })));
  }

  function brushed(element) {
    const chapter = element.dataset.chapter;
    const ids = chosen(element);
    const drawn = new Set(page.parallels[element.id.replace(/-chart$/, "")].archIds);
    const all = drawn.size;
    // What has no line cannot be brushed away: references, and architectures beyond those drawn.
    const stays = (id) => ids === null || ids.has(id) || !drawn.has(id);
    const form = document.querySelector(`form.brush[data-chart="${element.id}"]`);
    form.querySelector("output").textContent = ids === null ? "" : `${ids.size} of ${all} architectures`;
    for (const body of document.querySelectorAll(`table.architectures[data-chapter="${chapter}"] tbody[data-id]`)) {
      body.dataset.brushed = stays(body.dataset.id) ? "" : "out";
    }
    show(chapter);
    for (const frontier of document.querySelectorAll(`.chart[data-kind="frontier"][data-chapter="${chapter}"]`)) {
      draw(frontier);
      frontier.data.forEach((trace, number) => {
        if (!trace.customdata) return;
        const points = ids === null ? null : [trace.customdata.flatMap((row, i) => (stays(row[0]) ? [i] : []))];
        Plotly.restyle(frontier, { selectedpoints: points }, [number]);
      });
    }
  }

  for (const form of document.querySelectorAll("form.brush")) {
    const parallel = page.parallels[form.dataset.section];
    const element = document.getElementById(form.dataset.chart);
    const { axis, low, high } = form.elements;
    parallel.axes.forEach((item, number) => axis.add(new Option(item.name, number)));
    const offer = () => {
      const item = parallel.axes[axis.value];
      const numbers = [...new Set(item.values)].sort((a, b) => a - b);
      const most = 50;
      const steps = numbers.length <= most ? numbers
        : Array.from({ length: most }, (_, i) => numbers[Math.round(i * (numbers.length - 1) / (most - 1))]);
      for (const select of [low, high]) {
        select.replaceChildren(...steps.map((value) => new Option(
          item.choices.length ? item.choices[value] : Number(value.toPrecision(4)), value)));
      }
      high.selectedIndex = steps.length - 1;
    };
    axis.addEventListener("change", offer);
    offer();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      draw(element);
      const item = parallel.axes[axis.value];
      const room = item.choices.length ? 0.3 : 0;
      const ends = [Number(low.value), Number(high.value)].sort((a, b) => a - b);
      Plotly.restyle(element, {
        [`dimensions[${axis.value}].constraintrange`]: [[ends[0] - room, ends[1] + room]],
      }, [0]);
    });
    form.addEventListener("reset", () => {
      draw(element);
      const none = {};
      parallel.axes.forEach((_, number) => { none[`dimensions[${number}].constraintrange`] = null; });
      Plotly.restyle(element, none, [0]);
      setTimeout(offer);
    });
  }

  // The table of architectures: budgets, copying, saving.
  function show(chapter) {
    const form = document.querySelector(`form.budget[data-chapter="${chapter}"]`);
    if (!form) return;
    const most = (name) => (form.elements[name].value === "" ? Infinity : Number(form.elements[name].value));
    const bodies = [...document.querySelectorAll(`table.architectures[data-chapter="${chapter}"] tbody[data-id]`)];
    for (const body of bodies) {
      body.hidden = body.dataset.brushed === "out"
        || Number(body.dataset.gmacs) > most("gmacs") || Number(body.dataset.params) > most("params");
    }
    const left = bodies.filter((body) => !body.hidden).length;
    form.querySelector("output").textContent = left === bodies.length ? "" : `${left} of ${bodies.length} shown`;
  }

  for (const form of document.querySelectorAll("form.budget")) {
    form.addEventListener("input", () => show(form.dataset.chapter));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.querySelector(".csv").addEventListener("click", () => save(form.dataset.chapter));
  }

  async function copy(button) {
    const text = button.dataset.spec;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      button.focus();
      if (!done) {
        say("the browser does not let the page copy");
        return;
      }
    }
    say("ArchSpec copied");
  }
  for (const button of document.querySelectorAll("button.copy")) {
    button.addEventListener("click", () => copy(button));
  }

  function save(chapter) {
    const table = document.querySelector(`table.architectures[data-chapter="${chapter}"]`);
    // A cell that begins like a formula would be run by a spreadsheet.
    const quote = (text) => `"${(/^([=@\t\r]|[+-](?!\d))/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
    const rows = [[...table.tHead.rows[0].cells].map((cell) => cell.textContent)];
    for (const body of table.querySelectorAll("tbody[data-id]")) {
      if (body.hidden) continue;
      const cells = [...body.rows[0].cells].map((cell) => cell.querySelector("button")?.dataset.spec ?? cell.textContent);
      rows.push(cells);
    }
    const text = rows.map((row) => row.map(quote).join(",")).join("\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${text}\n`], { type: "text/csv" }));
    const name = document.querySelector(`#${chapter} > h2`).textContent.trim();
    link.download = `${name.replace(/[^\p{L}\p{N}._-]+/gu, "_").slice(0, 80)}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  // A served page looks whether its run has gone on, and comes back where the reader was.
  if (page.live) {
    const kept = JSON.parse(sessionStorage.getItem("kept") || "null");
    if (kept) {
      for (const [id, value] of kept.budgets) {
        const input = document.getElementById(id);
        if (input && value !== "") {
          input.value = value;
          show(input.form.dataset.chapter);
        }
      }
      for (const id of kept.open) {
        const details = document.getElementById(id)?.querySelector("details");
        if (details) details.open = true;
      }
      scrollTo(0, kept.place);
    }
    setInterval(async () => {
      try {
        const answer = await fetch("version", { cache: "no-store" });
        if (answer.ok && await answer.text() !== page.live) {
          sessionStorage.setItem("kept", JSON.stringify({
            place: scrollY,
            budgets: [...document.querySelectorAll("form.budget input")].map((one) => [one.id, one.value]),
            open: [...document.querySelectorAll("tbody[id] details[open]")].map((one) => one.closest("tbody").id),
          }));
          location.reload();
        }
      } catch {
        say("the server has stopped; this page stays as it is");
      }
    }, 3000);
  }
})();
