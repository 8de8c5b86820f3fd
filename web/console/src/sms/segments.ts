// How a text becomes the segments of a text message: as internal/channel/sms/segment
// does it, and held against the same vectors.

export type Count = { encoding: 'GSM-7' | 'UCS-2'; units: number; segments: number };

const alphabet = new Set(
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà',
);
/** These take two septets. */
const beside = new Set('\f^{}\\[~]|€');

/** The most segments that are sent. */
export const maxSegments = 10;

/** What a text takes. Units are septets in GSM-7, UTF-16 code units in UCS-2. */
export function segmentsOf(text: string): Count {
  const characters = [...text];
  const gsm = characters.every((c) => alphabet.has(c) || beside.has(c));
  const [single, each] = gsm ? [160, 153] : [70, 67];
  let units = 0;
  let segments = text === '' ? 0 : 1;
  let used = 0;
  for (const c of characters) {
    const size = gsm ? (beside.has(c) ? 2 : 1) : c.length;
    units += size;
    if (used + size > each) {
      segments++;
      used = 0;
    }
    used += size;
  }
  if (units <= single) segments = Math.min(segments, 1);
  return { encoding: gsm ? 'GSM-7' : 'UCS-2', units, segments };
}

/** The count in words: "2 segments · 161 of 306 characters". */
export function segmentWords({ encoding, units, segments }: Count): string {
  const [single, each] = encoding === 'GSM-7' ? [160, 153] : [70, 67];
  const room = segments > 1 ? segments * each : single;
  const words = `${segments} segment${segments === 1 ? '' : 's'} · ${units} of ${room} characters`;
  return encoding === 'GSM-7'
    ? words
    : `${words}, fewer to a segment because not all of them are in the GSM alphabet`;
}
