import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Clock, CLOCK_FILE_BYTES, CLOCK_OFFSETS } from './clock.ts';

void test('a page has the layout that the readers expect, and a new entry resets the counter', () => {
  const folder = mkdtempSync(join(tmpdir(), 'spare-clock-'));
  const path = join(folder, 'clock');
  using clock = new Clock(path);
  const seed = Buffer.from(Array.from({ length: 32 }, (_, i) => i + 1));
  clock.set({ index: 7, timeMs: 1_700_000_000_123, tickFromMs: 1_699_999_999_000, seed });
  const page = readFileSync(path);
  assert.equal(page.length, CLOCK_FILE_BYTES);
  assert.equal(page.readBigUInt64LE(CLOCK_OFFSETS.index), 7n);
  assert.equal(page.readBigUInt64LE(CLOCK_OFFSETS.time), 1_700_000_000_123_000_000n);
  assert.equal(page.readBigUInt64LE(CLOCK_OFFSETS.drawn), 0n);
  assert.equal(page.readBigUInt64LE(CLOCK_OFFSETS.tickFrom), 1_699_999_999_000_000_000n);
  assert.deepEqual(page.subarray(32, 64), seed);
  assert.ok(page.subarray(CLOCK_OFFSETS.drawnSql).every((byte) => byte === 0));
  rmSync(folder, { recursive: true });
});

void test('the service is busy as long as one of its threads is, and with a new entry none is', () => {
  const folder = mkdtempSync(join(tmpdir(), 'spare-clock-'));
  const path = join(folder, 'clock');
  using clock = new Clock(path);
  const entry = { timeMs: 1, tickFromMs: 0, seed: Buffer.alloc(32) };
  clock.set({ index: 1, ...entry });
  assert.equal(clock.isBusy, false);
  for (const at of [CLOCK_OFFSETS.busy, CLOCK_FILE_BYTES - 1]) {
    const page = readFileSync(path);
    page[at] = 1;
    writeFileSync(path, page, { flag: 'r+' });
    assert.equal(clock.isBusy, true);
    clock.set({ index: 2, ...entry });
    assert.equal(clock.isBusy, false);
  }
  rmSync(folder, { recursive: true });
});

void test('a request is being answered until it has its reply, any other entry never', () => {
  const folder = mkdtempSync(join(tmpdir(), 'spare-clock-'));
  const path = join(folder, 'clock');
  using clock = new Clock(path);
  const isAsked = (): boolean => readFileSync(path)[CLOCK_OFFSETS.asked] !== 0;
  const entry = { index: 1, timeMs: 1, tickFromMs: 0, seed: Buffer.alloc(32) };
  clock.set({ ...entry, isRequest: true });
  assert.equal(isAsked(), true);
  clock.answered();
  assert.equal(isAsked(), false);
  clock.set({ ...entry, isRequest: true });
  clock.set(entry);
  assert.equal(isAsked(), false);
  rmSync(folder, { recursive: true });
});

void test('an entry that cannot be written exactly is refused', () => {
  const folder = mkdtempSync(join(tmpdir(), 'spare-clock-'));
  using clock = new Clock(join(folder, 'clock'));
  const entry = { index: 1, timeMs: 1, tickFromMs: 0, seed: Buffer.alloc(32) };
  assert.throws(() => clock.set({ ...entry, seed: Buffer.alloc(31) }), /32 bytes/);
  assert.throws(() => clock.set({ ...entry, timeMs: 1.5 }), RangeError);
  assert.throws(() => clock.set({ ...entry, index: -1 }), RangeError);
  rmSync(folder, { recursive: true });
});
