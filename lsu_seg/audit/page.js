'use strict';
(() => {
  // Everything is in the page already; this adds search, filter, keys, and the figures of the cell under the pointer.
  const search = document.getElementById('search');
  const kind = document.getElementById('kind');
  const count = document.getElementById('count');
  const help = document.getElementById('help');
  const tip = document.getElementById('tip');
  const findings = [...document.querySelectorAll('.finding')];
  const classes = [...document.querySelectorAll('.class')];
  const rows = [...document.querySelectorAll('#table tbody tr')];
  // Not of pictures, nor of what could not be found: nearly every class is in them.
  const words = (e) => [...e.children].filter((part) => !part.matches('.strip, details')).map((part) => part.textContent).join(' ');
  const texts = new Map([...findings, ...classes].map((e) => [e, words(e).toLowerCase()]));
  document.body.classList.add('scripted');

  const wanted = () => search.value.trim().toLowerCase();

  function filter() {
    const query = wanted();
    const ofKind = (e) => !kind.value || e.dataset.kind === kind.value;
    for (const e of findings) e.hidden = !ofKind(e) || !texts.get(e).includes(query);
    for (const e of classes) e.hidden = !texts.get(e).includes(query);
    const named = rows.filter((row) => row.firstChild.textContent.toLowerCase().includes(query));
    for (const row of rows) row.hidden = named.length > 0 && !named.includes(row);
    const shown = (list) => list.filter((e) => !e.hidden).length;
    const filtered = query || kind.value;
    count.textContent = filtered ? `${shown(findings)} findings, ${shown(classes)} classes` : '';
  }
  search.addEventListener('input', filter);
  kind.addEventListener('change', filter);

  // Links from the table and from classes lead also to what the filter hides.
  document.addEventListener('click', (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    const target = link && document.getElementById(link.getAttribute('href').slice(1));
    if (target?.hidden) clear();
  });

  function clear() {
    search.value = kind.value = '';
    filter();
  }

  const top = () => document.getElementById('bar').getBoundingClientRect().bottom;

  function go(step) {
    const items = [...findings, ...classes].filter((e) => !e.hidden);
    const now = items.indexOf(document.activeElement?.closest?.('.finding, .class'));
    let next = items[now + step];
    if (now < 0) {
      // From where the reader is: the first that starts below the bar, or the last that starts above it.
      const below = items.findIndex((e) => e.getBoundingClientRect().top > top());
      next = step > 0 ? items[below] : items[(below < 0 ? items.length : below) - 1];
    }
    next?.focus({ preventScroll: true });
    next?.scrollIntoView({ block: 'start' });
  }

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Escape') {
      if (help.open) return; // the dialog closes itself
      search.blur();
      clear();
      hide();
      return;
    }
    if (help.open || event.target.matches('input, select, textarea')) return;
    const actions = {
      '/': () => { search.focus(); search.select(); },
      '?': () => help.showModal(),
      j: () => go(1),
      k: () => go(-1),
      o: () => document.body.classList.toggle('plain'),
    };
    if (event.key in actions) {
      event.preventDefault();
      actions[event.key]();
    }
  });
  search.form.addEventListener('submit', (event) => {
    event.preventDefault();
    search.blur();
    go(1);
  });
  document.getElementById('help-button').addEventListener('click', () => help.showModal());

  // The figures of a cell, at once and not after a while.
  const cells = document.querySelectorAll('#table tbody td');
  for (const cell of cells) {
    cell.dataset.tip = cell.title;
    cell.removeAttribute('title');
  }
  let crossed = [];
  function hide() {
    tip.hidden = true;
    for (const e of crossed) e.classList.remove('cross');
    crossed = [];
  }
  function show(cell) {
    hide();
    const row = cell.parentNode;
    crossed = [...row.cells, ...rows.map((other) => other.cells[cell.cellIndex])];
    for (const e of crossed) e.classList.add('cross');
    tip.textContent = cell.dataset.tip;
    tip.hidden = false;
    const box = cell.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    const left = Math.min(Math.max(4, box.left), innerWidth - own.width - 4);
    const above = box.top - own.height - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > top() ? above : box.bottom + 8}px`;
  }
  const table = document.querySelector('#table table');
  table.addEventListener('pointerover', (event) => {
    const cell = event.target.closest('tbody td');
    if (cell) show(cell);
    else hide();
  });
  table.addEventListener('pointerleave', hide);
  table.addEventListener('focusin', (event) => { const cell = event.target.closest('tbody td'); if (cell) show(cell); });
  table.addEventListener('focusout', hide);
})();
