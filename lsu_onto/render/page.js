'use strict';
(() => {
  // Everything shown is in the page already; this adds search, highlighting and the panel. Ids: d3 a dataset class,
  // s5 a source class (s + K is void). A class and its place in each view share one id.
  const data = JSON.parse(document.getElementById('data').textContent);
  const void_ = data.source.classes.length;
  const detail = document.getElementById('detail');
  const search = document.getElementById('search');
  const items = [...document.querySelectorAll('[data-id]')];
  const edges = [...document.querySelectorAll('.e[data-from]')];
  const cells = [...document.querySelectorAll('#matrix tbody td')];
  const alone = data.alone;
  document.body.classList.add('scripted');
  for (const item of items) item.removeAttribute('title');

  let pinned = null;
  let shown = null;

  const rowOf = (cell) => (alone ? 's' : 'd') + cell.parentNode.sectionRowIndex;
  const channelName = (k) => (k === void_ ? 'void' : data.source.classes[k].name);

  /** What a class is related to: ids, and for the panel `[id, name, symbol]`. */
  function related(id) {
    const n = Number(id.slice(1));
    if (alone) return [];
    if (id[0] !== 's') return data.rows[n].allowed.map((k, i) => [`s${k}`, channelName(k), data.rows[n].kinds[i]]);
    return data.rows.flatMap((row, d) => {
      const at = row.allowed.indexOf(n);
      return at < 0 ? [] : [[`d${d}`, data.dataset.classes[d].name, row.kinds[at]]];
    });
  }

  function element(tag, text, className) {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    if (className) e.className = className;
    return e;
  }

  function paint() {
    const id = shown ?? pinned;
    const query = search.value.trim().toLowerCase();
    const near = new Set(id ? related(id).map(([other]) => other) : []);
    const on = (other) => other === id || near.has(other);
    for (const item of items) {
      const own = item.dataset.id;
      item.classList.toggle('on', on(own));
      item.classList.toggle('dim', !on(own) && (query ? !matches(own, query) : id !== null));
      item.setAttribute('aria-pressed', String(own === pinned));
    }
    for (const edge of edges) {
      const { from, to } = edge.dataset;
      const mine = id !== null && (from === id || to === id || (from === to && near.has(from))); // itself: `-> any`
      edge.classList.toggle('on', mine);
      edge.classList.toggle('dim', id !== null ? !mine : Boolean(query) && !matches(from, query) && !matches(to, query));
      if (mine) edge.parentNode.append(edge);
    }
    for (const cell of cells) {
      cell.classList.toggle('cross', id !== null && (id === `s${cell.cellIndex - 1}` || id === rowOf(cell)));
    }
    describe(id);
  }

  function describe(id) {
    detail.replaceChildren();
    if (id === null) {
      detail.append(element('h2', 'What is what'), element('p', 'Point at a class to see what it may be; click to pin it, Esc to let go.', 'sub'));
      return;
    }
    const n = Number(id.slice(1));
    const side = id[0] === 's' ? data.source : data.dataset;
    const c = id[0] === 's' && n === void_ ? { name: 'void', note: 'not a class', ids: '' } : side.classes[n];
    const head = element('h2', c.name);
    detail.append(head);
    if (id === pinned) detail.append(element('p', 'pinned: click again or Esc to let go', 'pinned'));
    const facts = [];
    if (c.official && c.official !== c.name) facts.push(`"${c.official}"`);
    if (c.aka?.length) facts.push(`aka ${c.aka.join(' ')}`);
    if (c.ids) facts.push(`${side === data.source ? 'channel' : 'raw value'} ${c.ids}`);
    if (c.colour) facts.push(c.colour);
    if (c.group) facts.push(`[${c.group}]`);
    if (facts.length) detail.append(element('p', facts.join(' · '), 'sub'));
    const row = id[0] === 's' || alone ? null : data.rows[n];
    if (row) {
      const p = element('p');
      p.append(element('code', `${c.name} ${row.relation}`));
      detail.append(p);
    }
    const own = related(id);
    if (!alone) {
      const words = row ? `S(${c.name}): ${own.length === void_ + 1 ? 'everything' : own.length}` : own.length ? `May be drawn as (${own.length})` : 'No class of the dataset reaches it';
      detail.append(element('p', words, 'sub'));
      const list = element('ul', undefined, 'chips');
      for (const [other, name, kind] of own) {
        const li = element('li');
        const chip = element('button', `${data.symbols[kind]} ${name}`, 'c chip');
        chip.style.cssText = document.querySelector(`#tree [data-id="${other}"] .swatch`)?.style.cssText ?? '';
        chip.type = 'button';
        chip.addEventListener('click', () => pin(other, true));
        li.append(chip);
        list.append(li);
      }
      detail.append(list);
    }
    const notes = row ? row.notes : c.note ? [c.note] : [];
    if (notes.length) {
      const list = element('ul');
      for (const note of notes) list.append(element('li', note));
      detail.append(element('p', 'Notes', 'sub'), list);
    }
  }

  const texts = new Map();
  function matches(id, query) {
    if (!texts.has(id)) {
      const n = Number(id.slice(1));
      let words;
      if (id[0] === 's') {
        const c = data.source.classes[n];
        words = c ? [c.name, c.official, ...c.aka, c.group, c.note] : ['void'];
      } else {
        const c = data.dataset.classes[n];
        words = [c.name, c.official, ...c.aka, c.group, ...data.rows[n].notes];
      }
      texts.set(id, words.join('\n').toLowerCase());
    }
    return texts.get(id).includes(query);
  }

  /** The item of an id in the view that is open. */
  const visible = (id) => items.find((item) => item.dataset.id === id && item.offsetParent !== null);

  function pin(id, go) {
    pinned = pinned === id && !go ? null : id;
    shown = null;
    paint();
    if (!go) return;
    const place = visible(id);
    place?.scrollIntoView({ block: 'center', inline: 'center' });
    if (document.activeElement !== search) place?.focus({ preventScroll: true });
  }

  const idOf = (event) => event.target.closest?.('[data-id]')?.dataset.id ?? null;
  const main = document.querySelector('main');
  const show = (id) => { if (id !== shown) { shown = id; paint(); } };
  main.addEventListener('pointerover', (event) => {
    const cell = event.target.closest('#matrix tbody td');
    show(cell ? rowOf(cell) : idOf(event));
  });
  main.addEventListener('pointerleave', () => show(null));
  main.addEventListener('focusin', (event) => { if (event.target.matches(':focus-visible')) show(idOf(event)); });
  main.addEventListener('focusout', () => show(null));
  main.addEventListener('click', (event) => { const id = idOf(event); if (id) pin(id, false); });

  function searched() {
    const query = search.value.trim().toLowerCase();
    const ids = [...new Set(items.map((item) => item.dataset.id))];
    const hits = query ? ids.filter((id) => matches(id, query)) : [];
    document.getElementById('count').textContent = query ? `${hits.length} of ${ids.length}` : '';
    paint();
    return hits;
  }
  search.addEventListener('input', searched);
  search.form.addEventListener('submit', (event) => {
    event.preventDefault();
    const [first] = searched();
    if (first) pin(first, true);
  });

  document.addEventListener('keydown', (event) => {
    if (event.key === '/' && document.activeElement !== search) {
      event.preventDefault();
      search.focus();
    } else if (event.key === 'Escape') {
      if (pinned !== null) pinned = null;
      else search.value = '';
      shown = null;
      searched();
    } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      const now = document.activeElement;
      if (!now?.matches('main .c')) return;
      const list = items.filter((item) => item.offsetParent !== null && item.dataset.id[0] === now.dataset.id[0]);
      const next = list[list.indexOf(now) + (event.key === 'ArrowDown' ? 1 : -1)];
      if (next) { event.preventDefault(); next.focus(); }
    }
  });
  paint();
})();
