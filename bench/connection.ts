/** One keep-alive HTTP/1.1 connection with one request in flight, over a raw socket that reads into one buffer. */
import { connect, type Socket } from 'node:net';
import { ResponseScanner } from './scanner.ts';

const READ_BYTES = 64 * 1024;

export class Connection {
  readonly #scanner: ResponseScanner;
  readonly #socket: Socket;
  #done: ((response: ResponseScanner | Error) => void) | null = null;
  #failure: Error | null = null;

  private constructor(
    port: number,
    keepsBodies: boolean,
    opened: () => void,
    failed: (error: Error) => void,
  ) {
    this.#scanner = new ResponseScanner(keepsBodies);
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer,
        callback: (length: number) => {
          this.#read(buffer.subarray(0, length));
          return true;
        },
      },
    });
    this.#socket.once('connect', opened);
    this.#socket.on('error', (error) => {
      failed(error);
      this.#fail(error);
    });
    this.#socket.on('close', () => this.#fail(new Error('the server closed the connection')));
  }

  static open(port: number, keepsBodies: boolean = false): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const connection: Connection = new Connection(port, keepsBodies, () => resolve(connection), reject);
    });
  }

  #read(bytes: Buffer): void {
    try {
      if (!this.#scanner.push(bytes)) return;
    } catch (error) {
      return this.#fail(error as Error);
    }
    const done = this.#done;
    this.#done = null;
    if (done === null) return this.#fail(new Error('a response without a request'));
    done(this.#scanner);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#socket.destroy();
    const done = this.#done;
    this.#done = null;
    done?.(this.#failure);
  }

  /** `done` is called once, with what is valid until the next request; with an Error the connection is gone. */
  exchange(request: Uint8Array, done: (response: ResponseScanner | Error) => void): void {
    if (this.#failure !== null) return done(this.#failure);
    this.#done = done;
    this.#scanner.reset();
    this.#socket.write(request);
  }

  close(): void {
    this.#fail(new Error('closed here'));
  }
}
