/**
 * Where one machine sends the state of its devices to: a socket without a name, which it reaches through a descriptor. QEMU 7.2
 * saves to no connection that it was started with, only to one that is sent to it, which Node cannot do; so it is given a
 * socket's file instead (`O_PATH`), and connects to that.
 *
 * S1. It has a name only while it is made, in a folder that only the manager's user can enter: nobody but the machine reaches
 *     it, and nothing of it stays on disk, however the manager goes.
 * S2. It takes one connection. Whoever makes more, or makes it before it is asked to, costs the manager nothing.
 */
import { chmodSync, closeSync, mkdtempSync, openSync, rmdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Opens a file for others to open: of a socket, to connect to. */
const O_PATH = 0o10000000;
/** Of a machine's devices: a few hundred KiB are usual. */
const STATE_BYTES = 1024 ** 2;
const STATE_BYTES_MAX = 64 * STATE_BYTES;

export class StatePort implements Disposable {
  /** To be handed to the machine, and then closed by `handedOver`. */
  readonly fd: number;
  readonly #server: Server;
  readonly #connected: Promise<Socket>;

  /** Throws for want of descriptors, or when no folder can be made. */
  constructor() {
    this.#server = createServer({ pauseOnConnect: true });
    this.#connected = new Promise((resolve) => {
      this.#server.once('connection', (socket) => {
        this.#server.close();
        // The other end may be gone at any time; who reads sees the end.
        resolve(socket.on('error', () => {}));
      });
    });
    this.#server.on('error', () => {});
    const folder = mkdtempSync(join(tmpdir(), 'spare-state-'));
    const path = join(folder, 'state');
    try {
      // A path is listened on at once.
      this.#server.listen(path);
      if (!this.#server.listening) throw new Error('too many open files');
      // Whoever owns the machine must be able to connect to it.
      chmodSync(path, 0o666);
      this.fd = openSync(path, O_PATH);
    } catch (error) {
      this.#server.close();
      throw error;
    } finally {
      // One after the other: to look for what is in it takes a descriptor.
      rmSync(path, { force: true });
      rmdirSync(folder);
    }
  }

  handedOver(): void {
    closeSync(this.fd);
  }

  /** All that the machine sends, to its end. Throws when it is more than any machine has. */
  async receive(): Promise<Buffer> {
    const socket = await this.#connected;
    let room = Buffer.alloc(STATE_BYTES);
    let bytes = 0;
    for await (const part of socket as AsyncIterable<Buffer>) {
      const all = bytes + part.length;
      if (all > STATE_BYTES_MAX) throw new Error('the state of its devices is too large');
      // What is kept grows with the bytes, not with the pieces that they come in.
      if (all > room.length) room = Buffer.concat([room], 2 * all);
      bytes += part.copy(room, bytes);
    }
    return Buffer.from(room.subarray(0, bytes));
  }

  [Symbol.dispose](): void {
    this.#server.close();
    void this.#connected.then((socket) => socket.destroy());
  }
}
