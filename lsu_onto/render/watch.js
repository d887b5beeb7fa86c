'use strict';
(() => {
  // The picture is in a frame, which is loaded again when there is a new one. What the reader has chosen stays.
  const frame = document.getElementById('page');
  const bar = document.getElementById('bar');
  const status = document.getElementById('status');
  const findings = document.getElementById('findings');
  let picture = null;

  function show(state) {
    bar.className = state.severity;
    status.textContent = state.status;
    findings.textContent = state.findings;
    if (state.picture !== picture) load(state.picture);
    else title();
  }

  function load(checksum) {
    picture = checksum;
    const kept = chosen();
    frame.onload = () => { restore(kept); title(); };
    frame.contentWindow.location.replace(`/page?${checksum}`); // not a step for the button `Back`
  }

  const title = () => { document.title = (bar.className === 'error' ? '✗ ' : '') + (frame.contentDocument?.title || 'lsu-onto'); };

  function chosen() {
    const page = frame.contentDocument;
    const view = page?.querySelector('.tab:checked');
    if (!view) return null;
    const pinned = page.querySelector('#tree [aria-pressed=true]');
    const place = page.querySelector('main');
    return {
      view: view.id,
      query: page.getElementById('search').value,
      pinned: pinned && [pinned.dataset.id, pinned.textContent],
      scrolled: [page.scrollingElement.scrollLeft, page.scrollingElement.scrollTop, place.scrollLeft],
    };
  }

  function restore(kept) {
    const page = frame.contentDocument;
    if (!kept || !page?.getElementById(kept.view)) return;
    page.getElementById(kept.view).checked = true;
    const search = page.getElementById('search');
    search.value = kept.query;
    search.dispatchEvent(new Event('input'));
    const pinned = kept.pinned && page.querySelector(`#tree [data-id="${kept.pinned[0]}"]`);
    if (pinned && pinned.textContent === kept.pinned[1]) pinned.click(); // else another class has its place
    page.scrollingElement.scrollTo(kept.scrolled[0], kept.scrolled[1]);
    page.querySelector('main').scrollLeft = kept.scrolled[2];
  }

  const events = new EventSource('/events');
  events.onmessage = (event) => show(JSON.parse(event.data));
  events.onerror = () => {
    bar.className = 'ended';
    status.textContent = 'lsu-onto has ended: the picture stays as it is';
  };
})();
