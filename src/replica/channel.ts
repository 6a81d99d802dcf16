/**
 * The agent's end of its channel to the manager. In a machine that is a device, which it reads and writes itself: with somebody in
 * between who makes a socket of it, each order would wake two processes more, on emulated processors a third of what it costs.
 */
import { fstatSync } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';

const CHANNEL_FD = 3;
/** A port gives no more at once. */
const PAGE_BYTES = 4096;
const ROOM_BYTES = 16 * PAGE_BYTES;

/** As Node has them for sockets, pipes and terminals. */
interface Handle {
  open(fd: number): number;
  shutdown(): number;
}

interface Internals {
  binding(name: 'pipe_wrap'): {
    readonly Pipe: new (type: number) => Handle;
    readonly constants: { readonly SOCKET: number };
  };
}

/** Node waits for any descriptor that the system can wait for, but has no public name for one that is a device. */
function portHandle(): Handle {
  const { Pipe, constants } = (process as unknown as Internals).binding('pipe_wrap');
  const handle = new Pipe(constants.SOCKET);
  handle.open(CHANNEL_FD);
  // It is closed whole, or not.
  handle.shutdown = () => 1;
  return handle;
}

/** Pages that come together are told of together. */
class Port extends Socket {
  readonly #room = Buffer.alloc(ROOM_BYTES);
  #length = 0;
  #telling: NodeJS.Immediate | undefined;

  constructor() {
    const callback = (bytes: number, page: Uint8Array): boolean => this.#take(page.subarray(0, bytes));
    // After a page that fills its buffer Node asks for the next one in the same turn of the loop.
    const onread = { buffer: new Uint8Array(PAGE_BYTES), callback };
    const options = { handle: portHandle(), readable: true, writable: true, onread };
    super(options as unknown as SocketConstructorOpts);
  }

  /** Answers whether more may come. */
  #take(page: Uint8Array): boolean {
    this.#room.set(page, this.#length);
    this.#length += page.length;
    if (page.length < PAGE_BYTES || this.#length === ROOM_BYTES) return this.#tell();
    this.#telling ??= setImmediate(() => this.#tell());
    return true;
  }

  #tell(): boolean {
    clearImmediate(this.#telling);
    this.#telling = undefined;
    const told = Buffer.from(this.#room.subarray(0, this.#length));
    this.#length = 0;
    return this.push(told);
  }
}

/** To be called once, in a process that a domain driver started. */
export function openChannel(): Socket {
  if (fstatSync(CHANNEL_FD).isCharacterDevice()) return new Port();
  return new Socket({ fd: CHANNEL_FD, readable: true, writable: true });
}
