/**
 * The agent's side of the tick channel: tells every process of the service that a tick command of the order is being
 * carried out, and waits until all have run what was due. The other side is `ticks.mjs`.
 *
 * Lines of text: the server says `tick`, a process answers `done`. What comes in is as hostile as the service is:
 *
 * T1. A connection that says anything but the answers it owes is dropped, so no more than a part of one answer is ever kept.
 * T2. At most `CONNECTIONS_MAX` connections, and at most `OWED_MAX` unanswered ticks for each.
 */
import { setImmediate } from 'node:timers/promises';
import { createServer, type Server, type Socket } from 'node:net';

const ANSWER = 'done\n';
const CONNECTIONS_MAX = 256;
const OWED_MAX = 64;

/** One process of the service. `owed` counts the answers still to come, those of ticks given up on included. */
class Peer {
  readonly #socket: Socket;
  #owed = 0;
  #received = '';
  #settled: (() => void)[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1').unref();
    socket.on('data', (text: string) => this.#onData(text));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#release());
  }

  /** Resolves when the process has answered everything it owes, or is gone. */
  tick(): Promise<void> {
    if (this.#owed === OWED_MAX) this.#socket.destroy();
    if (this.#socket.destroyed) return Promise.resolve();
    this.#owed += 1;
    this.#socket.write('tick\n');
    return new Promise((resolve) => this.#settled.push(resolve));
  }

  #onData(text: string): void {
    this.#received += text;
    while (this.#owed > 0 && this.#received.startsWith(ANSWER)) {
      this.#received = this.#received.slice(ANSWER.length);
      this.#owed -= 1;
    }
    const right = this.#owed === 0 ? this.#received === '' : ANSWER.startsWith(this.#received);
    if (!right) this.#socket.destroy();
    if (this.#owed === 0) this.#release();
  }

  #release(): void {
    for (const resolve of this.#settled.splice(0)) resolve();
  }
}

/** Listens for the processes of one service. Does not keep the agent's process alive by itself. */
export class TickServer {
  readonly #server: Server;
  readonly #peers = new Map<Socket, Peer>();

  private constructor(server: Server) {
    this.#server = server;
    server.maxConnections = CONNECTIONS_MAX;
    server.unref();
    server.on('connection', (socket) => {
      this.#peers.set(socket, new Peer(socket));
      socket.on('close', () => this.#peers.delete(socket));
    });
  }

  /** `path` of a unix socket that does not exist yet. Rejects with the error of `listen`. */
  static async listen(path: string): Promise<TickServer> {
    const server = createServer();
    const tickServer = new TickServer(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    return tickServer;
  }

  /** How many processes are connected. */
  get connections(): number {
    return this.#peers.size;
  }

  /** Write the page of the tick command first. Resolves once every process has answered or gone, or after the time. */
  async tick(timeoutMs: number): Promise<void> {
    await setImmediate(); // accept the processes that are connected already
    const { promise: late, resolve: giveUp } = Promise.withResolvers<void>();
    const timer = setTimeout(giveUp, timeoutMs);
    await Promise.race([Promise.all([...this.#peers.values()].map((peer) => peer.tick())), late]);
    clearTimeout(timer);
  }

  close(): void {
    for (const socket of this.#peers.keys()) socket.destroy();
    this.#server.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
