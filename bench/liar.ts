/**
 * A service whose replicas lie when they are told to: a request with `X-Lie: n` is answered wrongly by the replica
 * that runs variant n, and by no other. Each replica runs a variant of its own, so that any one can be chosen.
 */
import { writeFileSync } from 'node:fs';
import type { Config } from '../src/index.ts';
import type { Service } from './services.ts';

/** In every wrong reply. */
export const LIED = 'x-lied';

/** A replacement gets a variant that was never at fault: more variants than replicas that are ever started. */
const VARIANTS = 96;

const MODULE = `
import http from 'node:http';
const { emit } = http.Server.prototype;
http.Server.prototype.emit = function (event, request, response) {
  if (event === 'request' && request.headers['x-lie'] === process.env.BENCH_VARIANT) {
    response.setHeader('${LIED}', 'yes');
  }
  return emit.apply(this, arguments);
};`;

/** Writes a configuration of the service, all of whose replicas can be made to lie. */
export function writeLyingConfig(service: Service, file: string): void {
  const url = `data:text/javascript;base64,${Buffer.from(MODULE).toString('base64')}`;
  const config: Config = {
    folder: service.folder,
    command: service.command,
    state: [service.state],
    env: { NODE_OPTIONS: `--import=${url}` },
    variants: Array.from({ length: VARIANTS }, (_, i) => ({ env: { BENCH_VARIANT: String(i) } })),
  };
  writeFileSync(file, `export default ${JSON.stringify(config)};\n`);
}

export function lieHeader(variant: number): Record<string, string> {
  return { 'X-Lie': String(variant) };
}
