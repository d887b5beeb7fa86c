'use strict';
(() => {
  // Bars, curves and pictures are in the page already; this adds filters, figures under the pointer, and the matrices.
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($('data').textContent);
  const [set, search, change] = [$('set'), $('search'), $('change')];
  const parts = [...document.querySelectorAll('[data-set]')];
  const classes = [...document.querySelectorAll('[data-class]')];
  document.body.classList.add('scripted');

  const wanted = () => search.value.trim().toLowerCase();

  function filter() {
    const [query, changed] = [wanted(), change.value];
    for (const e of classes) {
      const changes = (e.dataset.changes ?? '').split(' ').filter(Boolean);
      const fits = !changed || changes.some((c) => c === changed || c.startsWith(`${changed}:`));
      e.hidden = !fits || !e.dataset.class.toLowerCase().includes(query);
    }
    for (const e of document.querySelectorAll('.absent')) e.hidden = !e.querySelector('[data-class]:not([hidden])');
    const narrowed = query || changed;
    for (const e of parts) {
      const empty = e.matches('.bars') && narrowed && !e.querySelector('[data-class]:not([hidden])');
      e.hidden = Boolean((set.value && e.dataset.set !== set.value) || empty);
    }
    const left = classes.filter((e) => e.matches('.class') && !e.hidden && !e.closest('[hidden]')).length;
    $('count').textContent = narrowed || set.value ? `${left} of ${document.querySelectorAll('.class').length} bars` : '';
    const bars = [...document.querySelectorAll('.bars')];
    $('none').hidden = !bars.length || bars.some((e) => !e.hidden);
    const judged = data.sets.findIndex((s) => s.set === set.value);
    if (set.value && judged >= 0 && data.sets[matrix.value].set !== set.value) matrix.value = judged;
    fill();
  }
  function clear() {
    set.value = search.value = change.value = '';
    filter();
  }

  // Curves: the values at the iteration nearest to the pointer.
  for (const svg of document.querySelectorAll('[data-chart]')) {
    const chart = JSON.parse(svg.dataset.chart);
    const out = svg.parentNode.querySelector('output');
    const cursor = svg.querySelector('.cursor');
    const steps = [...new Set(chart.lines.flatMap(([, points]) => points.map(([x]) => x)))].sort((a, b) => a - b);
    let now = -1;
    const nearest = (list, x, of) => list.reduce((best, item, i) => (Math.abs(of(item) - x) < Math.abs(of(list[best]) - x) ? i : best), 0);
    const show = (index) => {
      now = Math.max(0, Math.min(steps.length - 1, index));
      const x = chart.left + (chart.width * steps[now]) / chart.last;
      cursor.setAttribute('x1', x);
      cursor.setAttribute('x2', x);
      const values = chart.lines.map(([name, points]) => {
        const [at, value] = points[nearest(points, steps[now], (p) => p[0])];
        return at === steps[now] ? `${name} ${value}` : `${name} ${value} (at ${at})`;
      });
      out.textContent = `iteration ${steps[now]}: ${values.join(', ')}`;
    };
    const point = (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      show(nearest(steps, ((x - chart.left) / chart.width) * chart.last, (s) => s));
    };
    svg.addEventListener('pointermove', point);
    svg.addEventListener('pointerdown', point);
    svg.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      show(now < 0 ? 0 : now + step);
    });
  }

  // The confusion matrix on a canvas: 124 classes make 15,000 cells.
  const [matrix, model, canvas, out] = [$('matrix'), $('model'), $('canvas'), $('cell')];
  const option = (value, text) => Object.assign(document.createElement('option'), { value, textContent: text });
  matrix.append(...data.sets.map((s, i) => option(i, `${s.set}, in ${s.space}`)));
  let rows = [];  // the classes of the ground truth that are shown
  let place = null;  // row on the canvas and column of the cell that the text is about
  let left = 0;
  let top = 0;
  let cell = 20;
  const counts = (row) => {
    const flat = data.sets[matrix.value].counts[model.value][row];
    const full = new Array(data.sets[matrix.value].names.length + 1).fill(0);
    for (let i = 0; i < flat.length; i += 2) full[flat[i]] = flat[i + 1];
    return full;
  };
  const columns = () => [...data.sets[matrix.value].names, data.sets[matrix.value].last];

  function fill() {
    if (!data.sets.length) {
      $('confusion').hidden = true;
      return;
    }
    const chosen = model.value;
    const there = Object.keys(data.sets[matrix.value].counts);
    model.replaceChildren(...there.map((m) => option(m, data.models[m])));
    model.value = there.includes(chosen) ? chosen : there[there.length - 1];
    const query = wanted();
    const names = data.sets[matrix.value].names;
    const named = names.map((_, i) => i).filter((i) => names[i].toLowerCase().includes(query));
    rows = named.length ? named : names.map((_, i) => i);
    place = null;
    out.textContent = '\u00a0';
    draw();
  }

  function draw() {
    if (!data.sets.length) return;
    const few = data.sets[matrix.value].names.length <= 25;
    const style = getComputedStyle(document.body);
    const colour = (name) => style.getPropertyValue(name).trim();
    const names = columns();
    const context = canvas.getContext('2d');
    const font = `${few ? 12 : 9}px ${style.fontFamily}`;
    context.font = font;
    const short = (text) => (text.length > 22 ? `${text.slice(0, 21)}…` : text);
    const width = Math.ceil(Math.max(...names.map((n) => context.measureText(short(n)).width))) + 6;
    left = top = width;
    // As large as fits, within reason; what does not fit is scrolled to.
    const [smallest, largest] = few ? [18, 34] : [11, 20];
    cell = Math.max(smallest, Math.min(largest, Math.floor((canvas.parentNode.clientWidth - left - 4) / names.length)));
    const ratio = Math.min(window.devicePixelRatio || 1, 3);
    const [w, h] = [left + names.length * cell + 2, top + rows.length * cell + 2];
    canvas.width = w * ratio;
    canvas.height = h * ratio;
    canvas.style.width = `${w}px`;
    canvas.style.height = `${h}px`;
    context.scale(ratio, ratio);
    context.font = font;
    context.textBaseline = 'middle';
    context.fillStyle = colour('--fg');
    names.forEach((name, j) => {
      context.save();
      context.translate(left + (j + 0.5) * cell, top - 4);
      context.rotate(-Math.PI / 2);
      context.fillText(short(name), 0, 0);
      context.restore();
    });
    context.textAlign = 'right';
    rows.forEach((row, i) => context.fillText(short(names[row]), left - 4, top + (i + 0.5) * cell));
    context.textAlign = 'left';
    rows.forEach((row, i) => {
      const full = counts(row);
      const total = full.reduce((a, b) => a + b, 0);
      full.forEach((n, j) => {
        const [x, y] = [left + j * cell, top + i * cell];
        context.globalAlpha = 1;
        context.fillStyle = colour('--ground');
        context.fillRect(x, y, cell - 1, cell - 1);
        if (!total) return;  // not in the ground truth: crossed out below
        context.globalAlpha = n ? 0.08 + 0.92 * Math.sqrt(n / total) : 0;  // so that 1 % can be seen
        context.fillStyle = colour(row === j ? '--good' : '--hot');
        context.fillRect(x, y, cell - 1, cell - 1);
      });
      context.globalAlpha = 1;
      if (!total) {
        context.strokeStyle = colour('--soft');
        context.beginPath();
        context.moveTo(left, top + (i + 0.5) * cell);
        context.lineTo(left + full.length * cell, top + (i + 0.5) * cell);
        context.stroke();
      }
    });
    mark();
  }

  function mark() {
    const at = $('at');
    at.hidden = !place;
    if (!place) return;
    at.style.cssText = `left:${left + place[1] * cell}px;top:${top + place[0] * cell}px;width:${cell - 1}px;height:${cell - 1}px`;
  }

  function tell(i, j) {
    const names = columns();
    if (i < 0 || j < 0 || i >= rows.length || j >= names.length) return;
    if (place?.[0] === i && place[1] === j && out.textContent.trim()) return;
    place = [i, j];
    const full = counts(rows[i]);
    const total = full.reduce((a, b) => a + b, 0);
    const [truth, predicted] = [names[rows[i]], names[j]];
    const what = rows[i] === j ? `${truth}, recognised` : `${truth}, taken for ${predicted}`;
    out.textContent = total
      ? `${what}: ${((100 * full[j]) / total).toFixed(1)} %, ${full[j].toLocaleString('en')} of ${total.toLocaleString('en')} pixels`
      : `${truth} is not in the ground truth of ${data.sets[matrix.value].set}`;
    mark();
  }
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    tell(Math.floor((event.clientY - box.top - top) / cell), Math.floor((event.clientX - box.left - left) / cell));
  };
  canvas.addEventListener('pointermove', point);
  canvas.addEventListener('pointerdown', point);
  canvas.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    if (place) tell(place[0] + step[0], place[1] + step[1]);
    else tell(0, 0);
    const [box, bar, y] = [canvas.parentNode, $('bar').getBoundingClientRect().bottom, canvas.getBoundingClientRect().top + top + place[0] * cell];
    if (y < bar + cell) window.scrollBy(0, y - bar - 2 * cell);
    else if (y > window.innerHeight - 2 * cell) window.scrollBy(0, y - window.innerHeight + 3 * cell);
    box.scrollLeft = Math.min(Math.max(box.scrollLeft, left + (place[1] + 1) * cell - box.clientWidth), Math.max(0, left + (place[1] - 1) * cell));
  });
  matrix.addEventListener('change', fill);
  model.addEventListener('change', () => {
    const at = place;
    place = null;
    if (at) tell(...at);
    else draw();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  addEventListener('resize', draw);

  for (const e of [set, change]) e.addEventListener('change', filter);
  search.addEventListener('input', filter);
  search.form.addEventListener('submit', (event) => event.preventDefault());
  $('clear').addEventListener('click', clear);
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Escape') clear();
    else if (event.key === '/' && !event.target.matches('input, select')) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  });
  fill();
})();
