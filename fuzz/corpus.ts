/** Inputs that are kept: `fuzz/corpus/<target>/`, one a file, named after its digest. */
import { hash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const TARGETS: readonly string[] = readdirSync(new URL('targets/', import.meta.url))
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.slice(0, -'.ts'.length));

function folderOf(target: string): URL {
  return new URL(`corpus/${target}/`, import.meta.url);
}

/** Smallest first. */
export function readCorpus(target: string): Buffer[] {
  const folder = folderOf(target);
  if (!existsSync(folder)) return [];
  const inputs = readdirSync(folder).map((name) => readFileSync(new URL(name, folder)));
  return inputs.sort((a, b) => a.length - b.length || Buffer.compare(a, b));
}

export function writeCorpus(target: string, inputs: readonly Buffer[]): void {
  const folder = folderOf(target);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const input of inputs) writeFileSync(new URL(nameOf(input), folder), input);
}

function nameOf(input: Buffer): string {
  return hash('sha256', input).slice(0, 16);
}

/** Keeps an input that showed a bug where the next run begins with it; its path. */
export function writeFinding(target: string, input: Buffer): string {
  const folder = folderOf(target);
  mkdirSync(folder, { recursive: true });
  const file = new URL(nameOf(input), folder);
  writeFileSync(file, input);
  return fileURLToPath(file);
}
