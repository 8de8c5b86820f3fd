const acts = 'a, button, input, select, textarea, label, [role], [tabindex]';

/**
 * Keeps the second click of a double click from what has slid under the pointer since the first,
 * such as the list that moves up when a message was sent. Text can still be selected by it.
 */
export function guardDoubleClicks(on: EventTarget): void {
  let first: Element | null = null;
  const under = (e: Event) => {
    const found = e.target instanceof Element ? e.target.closest(acts) : null;
    // a click on a label is followed by one on what it names
    return found instanceof HTMLLabelElement ? (found.control ?? found) : found;
  };
  on.addEventListener(
    'click',
    (e) => {
      const { detail: nth } = e as MouseEvent;
      if (nth <= 1) first = under(e);
      else if (under(e) !== first) {
        e.preventDefault();
        e.stopPropagation();
      }
    },
    { capture: true },
  );
}
