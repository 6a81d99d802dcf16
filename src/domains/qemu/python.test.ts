/**
 * Does a service in another language run unmodified in a machine, from a container image of its own, with the agreed clock
 * and randomness, and its state captured? Python with its own SQLite binding, as Debian has it.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempDisposableSync } from 'node:fs';
import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import {
  type Answer,
  decodeAnswer,
  digestFrames,
  executeFrames,
  importFrames,
  prepareFrames,
  startFrames,
} from '../../wire/channel.ts';
import { encodeRequestEntry } from '../../wire/entry.ts';
import { FrameReader } from '../../wire/frames.ts';
import { decodeReply, encodeRequest } from '../../wire/http.ts';
import { isRequired } from '../../testing.ts';
import type { Driver, ServiceImage } from '../domain.ts';
import { createQemuDriver } from './driver.ts';
import { readOciProgram } from './image/oci.ts';
import { writeLayout } from './image/testing.ts';
import { FileTree } from './image/tree.ts';

const required = isRequired('qemu');
const PYTHON = '/usr/bin/python3';
const LIBRARY =
  /^\/usr\/lib\/python3[^/]*\/(test|idlelib|tkinter|lib2to3|config-|dist-packages|ensurepip|__pycache__)/;
const TIME_MS = 1_700_000_123_000;
const SEED = Buffer.alloc(32, 7);
const APP = `
import http.server, json, os, random, sqlite3, time, uuid
db = sqlite3.connect('app.db', isolation_level=None)
db.execute('pragma journal_mode=wal')
db.execute('create table if not exists visits (at real, token text)')
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        row = (time.time(), os.urandom(8).hex() + uuid.uuid4().hex + str(random.random()))
        db.execute('insert into visits values (?, ?)', row)
        count = db.execute('select count(*) from visits').fetchone()[0]
        body = json.dumps({'count': count, 'at': row[0], 'token': row[1]}).encode()
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
`;

/** A folder with Python and the service in it, as a container image would have them. */
async function writeRoot(base: string): Promise<string> {
  const tree = new FileTree(true);
  tree.show(PYTHON);
  for (const [path, entry] of tree.entries) {
    const [, version] = /^\/usr\/bin\/(python3\.\d+)$/.exec(path) ?? [];
    if (version !== undefined && entry.type === 'file')
      tree.show(`/usr/lib/${version}`, (inner) => LIBRARY.test(inner));
  }
  const root = join(base, 'root');
  for (const [path, entry] of [...tree.entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const target = join(root, path);
    if (entry.type === 'folder') await mkdir(target, { recursive: true });
    else if (entry.type === 'link') await symlink(entry.target, target);
    else if (entry.type === 'file') await copyFile(entry.source, target);
  }
  await mkdir(join(root, 'app'));
  await writeFile(join(root, 'app/app.py'), APP);
  return root;
}

/** Starts a domain, executes the same entries as every other, and answers what came of each. */
async function live(driver: Driver, image: ServiceImage, base: string, id: string): Promise<unknown[]> {
  const directory = join(base, id);
  await mkdir(directory);
  const limits = { memoryBytes: 256 * 1024 ** 2, processes: 32 };
  const domain = await driver.start({ id, image, limits, directory });
  const reader = new FrameReader(16 * 1024 ** 2);
  const waiting: ((answer: Answer) => void)[] = [];
  domain.channel.on('data', (bytes: Buffer) => {
    for (const frame of reader.read(bytes)) waiting.shift()?.(decodeAnswer(frame));
  });
  const ended = domain.exited.then((why) => {
    throw new Error(`${why}: ${domain.console()}`);
  });
  ended.catch(() => {});
  const ask = (frames: Buffer[]): Promise<Answer> => {
    const answer = new Promise<Answer>((resolve) => waiting.push(resolve));
    for (const part of frames) domain.channel.write(part);
    return Promise.race([answer, ended]);
  };
  const { command, env, state } = image;
  const limit = { timeoutMs: 120_000, replyBytesMax: 1024 ** 2 };
  const seed = SEED.toString('base64');
  const answers: unknown[] = [
    await ask([
      ...prepareFrames(state),
      ...importFrames(Buffer.alloc(0), true),
      ...startFrames({ timeMs: TIME_MS, seed, command, env, port: 8000, founds: true, ...limit }),
    ]),
  ];
  for (const index of [1, 2]) {
    const headers = ['host', 'test', 'content-length', '0'];
    const request = encodeRequest({ method: 'POST', target: '/', headers, body: Buffer.alloc(0) });
    const timeMs = TIME_MS + index * 1000;
    const entry = encodeRequestEntry(null, request, timeMs, Buffer.alloc(32, index));
    const answer = await ask(executeFrames(index, timeMs, timeMs, entry));
    assert.equal(answer.type, 'result');
    if (answer.type !== 'result') break;
    assert.ok(answer.update.length > 0, 'its change was captured');
    answers.push(JSON.parse(Buffer.from(decodeReply(answer.reply).body).toString()), answer.update);
  }
  answers.push(await ask(digestFrames()));
  await domain.destroy();
  return answers;
}

void test(
  'a service in Python, from an image of its own, gives the same in every machine',
  { timeout: 300_000 },
  async (context) => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'spare-python-'));
    const base = place.path;
    let driver: Driver;
    try {
      if (!existsSync(PYTHON)) throw new Error(`there is no ${PYTHON}`);
      driver = await createQemuDriver({
        folder: base,
        progress: () => {},
        suspension: 'paused',
      });
    } catch (error) {
      if (required) throw error;
      context.skip(String(error));
      return;
    }
    const config = { Entrypoint: ['python3'], Cmd: ['app.py'], Env: ['PATH=/usr/bin'], WorkingDir: '/app' };
    const oci = await writeLayout(base, [await writeRoot(base)], config);
    const image = { ...readOciProgram(oci), state: ['app.db'], oci };
    const first = await live(driver, image, base, 'one');
    const second = await live(driver, image, base, 'two');
    assert.deepEqual(first, second);
    const [, reply] = first as [unknown, { count: number; at: number; token: string }];
    assert.equal(reply.count, 1);
    assert.equal(reply.at, (TIME_MS + 1000) / 1000);
  },
);
