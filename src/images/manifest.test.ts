/** Is every change of what counts seen, and nothing else taken for one? On real files. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempDisposableSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { changes, digestOf, type Manifest, measure, type Source } from './manifest.ts';

/** Longer than the coarsest clock of a file system. */
const SETTLED_MS = 2100;

function place(): { path: string; source: Source; [Symbol.dispose]: () => void } {
  const folder = mkdtempDisposableSync(join(tmpdir(), 'spare-image-'));
  const { path } = folder;
  mkdirSync(join(path, 'lib'));
  writeFileSync(join(path, 'server.mjs'), 'serve()');
  writeFileSync(join(path, 'lib/part.mjs'), 'part()');
  writeFileSync(join(path, 'app.db'), 'state');
  symlinkSync('lib/part.mjs', join(path, 'link.mjs'));
  const source: Source = { part: 'service', path, without: [join(path, 'app.db')] };
  return { path, source, [Symbol.dispose]: () => folder.remove() };
}

function manifestOf(source: Source, known: Manifest = new Map()): Manifest {
  return measure([source], known).manifest;
}

function seen(before: Manifest, source: Source): string[] {
  return changes(before, manifestOf(source, before)).map(
    ({ path, what }) => `${path.slice(source.path.length + 1)} ${what}`,
  );
}

const CHANGES: Readonly<Record<string, [(path: string) => void, string[]]>> = {
  'another content': [(path) => writeFileSync(join(path, 'server.mjs'), 'attack()'), ['server.mjs changed']],
  'another content of the same length and times': [
    (path) => {
      writeFileSync(join(path, 'server.mjs'), 'steal()');
      utimesSync(join(path, 'server.mjs'), 1, 1);
    },
    ['server.mjs changed'],
  ],
  'a file put in its place': [
    (path) => {
      writeFileSync(join(path, 'lib/new'), 'trap()');
      renameSync(join(path, 'lib/new'), join(path, 'lib/part.mjs'));
    },
    ['lib/part.mjs changed'],
  ],
  'a new file': [(path) => writeFileSync(join(path, 'lib/more.mjs'), ''), ['lib/more.mjs added']],
  'a new folder': [(path) => mkdirSync(join(path, 'empty')), ['empty added']],
  'a file that is gone': [(path) => unlinkSync(join(path, 'lib/part.mjs')), ['lib/part.mjs removed']],
  'a folder that is gone': [
    (path) => rmSync(join(path, 'lib'), { recursive: true }),
    ['lib removed', 'lib/part.mjs removed'],
  ],
  'a link to elsewhere': [
    (path) => {
      unlinkSync(join(path, 'link.mjs'));
      symlinkSync('server.mjs', join(path, 'link.mjs'));
    },
    ['link.mjs changed'],
  ],
  'a link in place of a file': [
    (path) => {
      unlinkSync(join(path, 'server.mjs'));
      symlinkSync('lib/part.mjs', join(path, 'server.mjs'));
    },
    ['server.mjs changed'],
  ],
  'a file made executable': [(path) => chmodSync(join(path, 'server.mjs'), 0o755), ['server.mjs changed']],
  'state that goes on': [(path) => writeFileSync(join(path, 'app.db'), 'more state'), []],
  'other times, the same content': [(path) => utimesSync(join(path, 'server.mjs'), 1, 1), []],
  'the same content written again': [
    (path) => writeFileSync(join(path, 'server.mjs'), readFileSync(join(path, 'server.mjs'))),
    [],
  ],
  'version control': [(path) => mkdirSync(join(path, 'lib/.git')), []],
  'the configuration of the group': [(path) => writeFileSync(join(path, 'spare.config.mjs'), 'other'), []],
  'a configuration of something else': [
    (path) => writeFileSync(join(path, 'app.config.mjs'), ''),
    ['app.config.mjs added'],
  ],
  'a folder that is called like the configuration': [
    (path) => mkdirSync(join(path, 'spare.config.ts')),
    ['spare.config.ts added'],
  ],
  'data of another group': [
    (path) => {
      mkdirSync(join(path, 'lib/data/domains'), { recursive: true });
      writeFileSync(join(path, 'lib/data/spare.db'), 'order');
    },
    [],
  ],
  'a folder made to look like such data': [
    (path) => {
      mkdirSync(join(path, 'lib/domains'));
      writeFileSync(join(path, 'lib/spare.db'), '');
    },
    ['lib removed', 'lib/part.mjs removed'],
  ],
  'a socket or a pipe': [
    (path) => void execFileSync('sh', ['-c', 'mkfifo "$0"', join(path, 'lib/pipe')]),
    [],
  ],
};

for (const [name, [change, expected]] of Object.entries(CHANGES)) {
  void test(`P6 E1: measured once more, there is: ${name}`, () => {
    using site = place();
    const before = manifestOf(site.source);
    change(site.path);
    assert.deepEqual(seen(before, site.source), expected);
  });
}

void test('what is not measured is named, so that no domain sees it', () => {
  using site = place();
  for (const name of ['.git', 'lib/.git', 'lib/part']) mkdirSync(join(site.path, name));
  symlinkSync('/nowhere', join(site.path, '.hg'));
  execFileSync('sh', ['-c', 'mkfifo "$0"', join(site.path, 'lib/part/pipe')]);
  writeFileSync(join(site.path, 'lib/spare.config.ts'), '');
  const { leftOut } = measure([site.source, site.source], new Map());
  assert.deepEqual(
    leftOut.toSorted(),
    ['.git', 'lib/.git', 'lib/part/pipe', 'lib/spare.config.ts'].map((name) => join(site.path, name)),
  );
});

const NOT_TEXT: Readonly<Record<string, (path: string) => void>> = {
  'the name of a file': (path) => writeFileSync(bytes(path, '/lib/a\xff'), ''),
  'the name of a folder': (path) => mkdirSync(bytes(path, '/lib/a\xff')),
  'the name of a file beside one that it reads like': (path) => {
    writeFileSync(join(path, 'lib/a\u{fffd}'), '');
    writeFileSync(bytes(path, '/lib/a\xff'), '');
  },
  'the target of a link': (path) => symlinkSync(bytes('', 'a\xff'), join(path, 'lib/link')),
};

function bytes(path: string, rest: string): Buffer {
  return Buffer.concat([Buffer.from(path), Buffer.from(rest, 'latin1')]);
}

for (const [name, make] of Object.entries(NOT_TEXT)) {
  void test(`P6 E3: what a domain would see and no manifest can say is refused: ${name} that is not UTF-8`, () => {
    using site = place();
    make(site.path);
    assert.throws(() => manifestOf(site.source), { message: /\/lib.* is not UTF-8: a\\xff$/ });
  });
}

void test('E1: what is known of a file is used only once its clock has gone on; then it is not read again', async () => {
  using site = place();
  const file = join(site.path, 'server.mjs');
  const early = manifestOf(site.source);
  assert.equal(early.get(file)?.stat, '', 'a change within the same tick of the clock would not be seen');
  await delay(SETTLED_MS);
  const settled = manifestOf(site.source, early);
  assert.notEqual(settled.get(file)?.stat, '');
  const read: number[] = [];
  measure([site.source], settled, ({ bytes }) => read.push(bytes));
  assert.deepEqual(read, []);
  writeFileSync(file, 'steal()');
  utimesSync(file, 1, 1);
  assert.deepEqual(seen(settled, site.source), ['server.mjs changed']);
});

void test('E2: the digest is that of contents and paths, whenever it is taken', () => {
  using site = place();
  const digest = digestOf(manifestOf(site.source));
  assert.equal(digestOf(manifestOf(site.source)), digest);
  assert.match(digest, /^[0-9a-f]{64}$/);
  writeFileSync(join(site.path, 'server.mjs'), 'attack');
  assert.notEqual(digestOf(manifestOf(site.source)), digest);
});
