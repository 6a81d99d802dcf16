/** Attacks through the reply, on the clients or on what shows the operator how replies differ. */
import { resultFrames } from '../../src/wire/channel.ts';
import { decodeReply, encodeReply, type HttpReply } from '../../src/wire/http.ts';
import type { Attack } from './attack.ts';
import type { Captured } from './captured.ts';

const OUTVOTED = 'outvoted; what f+1 agreed on is checked again by `decodeReply`';

/** Every reply from now on is another one; the update is right. */
function replies(change: (reply: HttpReply) => HttpReply): (captured: Captured) => void {
  return (captured) =>
    captured.results('request', 'all', ({ index, reply, update }) => {
      captured.send(resultFrames(index, encodeReply(change(decodeReply(reply))), update));
    });
}

function withHeaders(...more: string[]): (captured: Captured) => void {
  return replies((reply) => ({ ...reply, headers: [...reply.headers, ...more] }));
}

function reply(name: string, run: Attack['run'], stopped: string = OUTVOTED): Attack {
  return { name, by: 'active', kind: 'reply', stopped, run };
}

function largeReply(...[name, run, stopped]: Parameters<typeof reply>): Attack {
  return { ...reply(name, run, stopped), mayBeLate: true };
}

export const REPLY_ATTACKS: readonly Attack[] = [
  reply(
    'another reply with the right update',
    replies((sound) => ({ ...sound, body: Buffer.from('{"name":"eve","count":1,"sum":1000000}') })),
  ),
  reply(
    'response splitting',
    withHeaders('x-a', 'b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nowned'),
  ),
  reply('a header name that is none', withHeaders('x a\r\nset-cookie', 'session=eve')),
  reply('conflicting lengths', withHeaders('content-length', '3', 'content-length', '3000000000')),
  reply(
    'hop-by-hop headers',
    withHeaders('transfer-encoding', 'chunked', 'connection', 'close, x-count', 'te', 'trailers'),
  ),
  reply(
    'a status that is none',
    replies((sound) => ({ ...sound, status: 100 })),
  ),
  largeReply(
    'a body larger than a reply may be',
    replies((sound) => ({ ...sound, body: Buffer.alloc(12 * 1024 ** 2, 1) })),
    'outvoted; `Ballots` (B1): what one replica has the manager keep is bounded',
  ),
  largeReply(
    'a header name of 8 MiB, for the operator to read',
    withHeaders('\u009b'.repeat(8 * 1024 ** 2), ''),
    'outvoted; what an incident says is cut',
  ),
  reply('bytes that are no reply', (captured) =>
    captured.results('request', 'all', ({ index, update }) =>
      captured.send(resultFrames(index, Buffer.of(200), update)),
    ),
  ),
];
