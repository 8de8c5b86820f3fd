/** Whether the server is there. */
const answers = () =>
  fetch('/healthz', { cache: 'no-store' }).then(
    (r) => r.ok,
    () => false,
  );

const moment = () => new Promise((done) => setTimeout(done, 1000));

/**
 * Loads a part of the console. While the server is gone it is waited for; one that is there and has
 * no such part is another version, which is the caller's to deal with.
 */
export async function patient<T>(load: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await load();
    } catch {
      if (await answers()) return load(); // it may have come back between the two
      await moment();
    }
  }
}
