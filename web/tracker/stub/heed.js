/* Heed's tracker is not in this binary: it was compiled without the front ends. Run `make build`. */
(() => {
  var w = window;
  var quiet = () => {};
  console.warn(
    'heed: the tracker was not built into this server; no event is sent. Run `make build`.',
  );
  w.heed = {
    track: quiet,
    identify: quiet,
    page: quiet,
    group: quiet,
    alias: quiet,
    reset: quiet,
    onMessage: quiet,
    ready: quiet,
    anonymousId: () => '',
    push: quiet,
    stub: true,
  };
})();
