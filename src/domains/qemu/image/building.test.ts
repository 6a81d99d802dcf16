/** Can the manager go on while an image is built, and does it hear what comes of it? */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SpareError } from '../../../errors.ts';
import { isRequired } from '../../../testing.ts';
import { DEFAULT_AGENT } from '../../process/package.ts';
import type { BuildOptions } from './build.ts';
import { buildBeside } from './building.ts';

const required = isRequired('qemu');
const FILES = 3000;

function optionsOf(base: string, command: string, lines: string[]): BuildOptions {
  const folder = join(base, 'service');
  return {
    service: { folder, command: [command, 'server.mjs'], env: {}, state: [] },
    agent: DEFAULT_AGENT,
    hidden: join(base, 'data'),
    images: join(base, 'images'),
    kernel: '/',
    progress: (line) => lines.push(line),
  };
}

function total({ user, system }: NodeJS.CpuUsage): number {
  return user + system;
}

void test('whoever has an image built goes on meanwhile, and hears of it as of one that he builds himself', async (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-building-'));
  const parts = join(place.path, 'service/parts');
  mkdirSync(parts, { recursive: true });
  for (let i = 0; i < FILES; i += 1) writeFileSync(join(parts, `${i}.mjs`), '');
  writeFileSync(join(place.path, 'service/server.mjs'), '');
  const lines: string[] = [];
  const { signal } = context;
  const options = optionsOf(place.path, process.execPath, lines);
  const first = await buildBeside(options, signal).catch((error: unknown) => {
    if (required) throw error;
    return null;
  });
  if (first === null) return context.skip('no image can be built here');
  assert.equal(lines.at(-1)?.split(' ').at(-1), first.manifest.digest);
  const [all, own] = [process.cpuUsage(), process.threadCpuUsage()];
  const second = await buildBeside(options, signal);
  const share = total(process.threadCpuUsage(own)) / total(process.cpuUsage(all));
  assert.deepEqual([second.folder, second.manifest], [first.folder, first.manifest]);
  assert.ok(share < 0.25, `${Math.round(100 * share)} % of the work`);
  await assert.rejects(buildBeside(optionsOf(place.path, 'not-there', lines), signal), (error) => {
    assert.ok(error instanceof SpareError && error.code === 'command-not-found' && error.hint !== '');
    return true;
  });
});
