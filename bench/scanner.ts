/**
 * Finds the end of one HTTP/1.1 response in the bytes of a connection, at little cost: the status, the length of the
 * body, and the head's text are all that a load generator mostly asks for; the body only where that is said. Sans-io.
 *
 * Bodies with `Content-Length` or in chunks; a body that ends with the connection is refused, for the connection is
 * to be used again.
 */

type Part = 'head' | 'length' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailer' | 'done';

const HEAD_END = '\r\n\r\n';
const LINE_MAX = 1024;
const HEAD_MAX = 64 * 1024;

export class ResponseScanner {
  #part: Part = 'head';
  #pending = '';
  #left = 0;
  #status = 0;
  #head = '';
  #bodyBytes = 0;
  readonly #keepsBody: boolean;
  #body: Buffer[] = [];

  constructor(keepsBody: boolean = false) {
    this.#keepsBody = keepsBody;
  }

  get status(): number {
    return this.#status;
  }

  /** Status line and headers, without the empty line. */
  get head(): string {
    return this.#head;
  }

  /** Of the body alone, chunk sizes not counted. */
  get bodyBytes(): number {
    return this.#bodyBytes;
  }

  /** Empty unless it is kept. */
  get body(): Buffer {
    return Buffer.concat(this.#body);
  }

  /** To be called before each response. */
  reset(): void {
    this.#part = 'head';
    this.#pending = '';
    this.#status = 0;
    this.#head = '';
    this.#bodyBytes = 0;
    this.#body = [];
  }

  /** True when the response is complete. Throws an Error on what is no response, and on bytes behind its end. */
  push(chunk: Buffer): boolean {
    let at = 0;
    while (at < chunk.length) {
      switch (this.#part) {
        case 'head':
          at = this.#readHead(chunk);
          break;
        case 'length':
        case 'chunk':
          at = this.#readBody(chunk, at);
          break;
        case 'chunk-size':
        case 'chunk-end':
        case 'trailer':
          at = this.#readLine(chunk, at);
          break;
        case 'done':
          throw new Error('bytes behind the end of a response');
      }
    }
    return this.#part === 'done';
  }

  #readHead(chunk: Buffer): number {
    const before = this.#pending.length;
    const text = this.#pending + chunk.toString('latin1');
    const end = text.indexOf(HEAD_END, Math.max(0, before - 3));
    if (end === -1) {
      if (text.length > HEAD_MAX) throw new Error('a head that does not end');
      this.#pending = text;
      return chunk.length;
    }
    this.#pending = '';
    this.#head = text.slice(0, end);
    this.#begin();
    return end + HEAD_END.length - before;
  }

  #begin(): void {
    const head = this.#head;
    if (!/^HTTP\/1\.1 [2-5]\d\d/.test(head))
      throw new Error(`not a response: ${JSON.stringify(head.slice(0, 40))}`);
    this.#status = Number(head.slice(9, 12));
    if (this.#status === 204 || this.#status === 304) {
      this.#part = 'done';
      return;
    }
    const length = /\r\ncontent-length: *(\d+)/i.exec(head);
    if (length !== null) {
      this.#left = Number(length[1]);
      this.#part = this.#left === 0 ? 'done' : 'length';
    } else if (/\r\ntransfer-encoding: *chunked/i.test(head)) this.#part = 'chunk-size';
    else throw new Error('a response without Content-Length and not in chunks');
  }

  #readBody(chunk: Buffer, at: number): number {
    const take = Math.min(this.#left, chunk.length - at);
    this.#left -= take;
    this.#bodyBytes += take;
    // A copy: what is read next goes into the same buffer.
    if (this.#keepsBody) this.#body.push(Buffer.from(chunk.subarray(at, at + take)));
    if (this.#left === 0) this.#part = this.#part === 'length' ? 'done' : 'chunk-end';
    return at + take;
  }

  #readLine(chunk: Buffer, at: number): number {
    const end = chunk.indexOf(10, at);
    const to = end === -1 ? chunk.length : end + 1;
    this.#pending += chunk.toString('latin1', at, to);
    if (this.#pending.length > LINE_MAX) throw new Error('a chunk size that does not end');
    if (end === -1) return to;
    const line = this.#pending.trimEnd();
    this.#pending = '';
    this.#lineRead(line);
    return to;
  }

  #lineRead(line: string): void {
    switch (this.#part) {
      case 'chunk-size':
        this.#left = Number.parseInt(line, 16);
        if (!Number.isSafeInteger(this.#left)) throw new Error(`not a chunk size: ${JSON.stringify(line)}`);
        this.#part = this.#left === 0 ? 'trailer' : 'chunk';
        return;
      case 'chunk-end':
        if (line !== '') throw new Error('a chunk longer than its size');
        this.#part = 'chunk-size';
        return;
      case 'trailer':
        if (line === '') this.#part = 'done';
        return;
      case 'head':
      case 'length':
      case 'chunk':
      case 'done':
        throw new Error('no line is read here');
    }
  }
}
