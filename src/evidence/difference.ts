/**
 * Where one vote differs from another, in a sentence for a person: for the operator with an excerpt, for a client only
 * the place. Cheap, since it is made in the manager; `compare/` says more.
 */
import { MalformedError } from '../wire/bytes.ts';
import { printable } from '../wire/channel.ts';
import { codingOf, decodeReply } from '../wire/http.ts';
import { firstDifferent } from './compare/difference.ts';

const EXCERPT = 60;
/** What is looked at for it, of bytes in which there is text here and there. */
const READ_BYTES = 512;
const BLOCK_BYTES = 64 * 1024;

function excerpt(bytes: Uint8Array, at: number): string {
  const from = Math.max(0, at - EXCERPT / 3);
  const text = Buffer.from(bytes.subarray(from, from + EXCERPT)).toString();
  return `"${printable(text)}"`;
}

/** Equal blocks are passed over: to compare them as a whole is thirty times cheaper than byte by byte. */
function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  const isSame = (from: number): boolean =>
    Buffer.compare(a.subarray(from, from + BLOCK_BYTES), b.subarray(from, from + BLOCK_BYTES)) === 0;
  let at = 0;
  while (at + BLOCK_BYTES <= shorter && isSame(at)) at += BLOCK_BYTES;
  return at + firstDifferent(a.subarray(at), b.subarray(at));
}

/** `wrong` and `right` are encoded replies. */
export function replyDifference(wrong: Buffer, right: Buffer): string {
  try {
    const a = decodeReply(wrong);
    const b = decodeReply(right);
    if (a.status !== b.status) return `status ${a.status} instead of ${b.status}`;
    const [fewer, more] = a.headers.length < b.headers.length ? [a, b] : [b, a];
    const header = more.headers.findIndex((text, i) => text !== fewer.headers[i]);
    if (header !== -1) {
      const at = header - (header % 2);
      return `header ${printable((a.headers[at] ?? b.headers[at] ?? '').slice(0, EXCERPT))} differs`;
    }
    const at = firstDifference(a.body, b.body);
    const coding = codingOf(a);
    if (coding !== undefined) return `body (${printable(coding.slice(0, EXCERPT))}) differs at byte ${at}`;
    return `body differs at byte ${at}: ${excerpt(a.body, at)} instead of ${excerpt(b.body, at)}`;
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return `not a valid reply: ${printable(error.message)}`;
  }
}

/** `wrong` and `right` are encoded updates: their form is the state's own. */
export function updateDifference(wrong: Buffer, right: Buffer): string {
  if (wrong.length === 0)
    return `changed nothing, where others changed the state (${right.length} bytes of update)`;
  if (right.length === 0) return `changed the state (${wrong.length} bytes of update), where others did not`;
  return `changed the state otherwise: ${wrong.length} bytes of update instead of ${right.length}, from byte ${firstDifference(wrong, right)} on`;
}

/** What can be read in two encoded updates before the place where they differ, as the start of a row; empty where there is nothing. */
export function readableBefore(one: Buffer, other: Buffer): string {
  const at = firstDifference(one, other);
  const read = one.toString('latin1', Math.max(0, at - READ_BYTES), at).match(/[ -~]{3,}/g) ?? [];
  return read.join(' … ').slice(-EXCERPT);
}

/** In which part two encoded replies differ: nothing of what they say. */
export function replyPlace(one: Buffer, other: Buffer): string {
  try {
    const a = decodeReply(one);
    const b = decodeReply(other);
    if (a.status !== b.status) return 'the status differs';
    if (a.headers.length !== b.headers.length || a.headers.some((text, i) => text !== b.headers[i])) {
      return 'a header differs';
    }
    return `the body differs from byte ${firstDifference(a.body, b.body)} on`;
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return 'they are not all valid';
  }
}
