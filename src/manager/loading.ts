/** Tells how far a state has got that takes long to be sent. */
const TELL_MS = 5000;

export type Tell = (percent: number) => void;

/** `frames` as they are; `total`: bytes of the state. */
export async function* loading(
  frames: AsyncIterable<Buffer[]>,
  total: number,
  tell: Tell,
): AsyncIterable<Buffer[]> {
  let sent = 0;
  let toldAt = Date.now();
  for await (const parts of frames) {
    yield parts;
    for (const { length } of parts) sent += length;
    if (Date.now() - toldAt < TELL_MS) continue;
    toldAt = Date.now();
    tell(Math.min(99, Math.floor((100 * sent) / total)));
  }
}
