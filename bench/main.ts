/**
 * `npm run bench`: Spare against the bare service and against voting of always active replicas, in one run, as
 * ratios; and what faults add to latencies. Everything on loopback, in folders and on ports of its own.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { compare, type Comparison, type Workload } from './compare.ts';
import { readScripts, seed, writeScripts } from './conduit.ts';
import { Generator } from './generator.ts';
import { request, type Step } from './job.ts';
import { writeLyingConfig } from './liar.ts';
import { measureMasking, type MaskingLoad } from './masking.ts';
import { type ModeName, type RunningMode, startMode, startSpare } from './modes.ts';
import { type DomainFigures, measureDomains } from './domains.ts';
import { endAll } from './processes.ts';
import { plot } from './plot.ts';
import { report } from './report.ts';
import { measureRotation, type RotationResult } from './rotation.ts';
import { CONDUIT, JSON_SERVICE, type Service } from './services.ts';
import { type BenchSettings, readSettings } from './settings.ts';
import {
  judgeLatency,
  judgeMasking,
  judgeRotation,
  judgeThroughput,
  type Masking,
  type Verdict,
} from './verdicts.ts';

const NODE_NEEDED = 26;
const MODES: readonly ModeName[] = ['bare', 'spare', 'always-active'];
const MASKING_CONNECTIONS = 4;
const MASKING_PAUSE_MS = 5;

const settings: BenchSettings = readSettings();
const folder = mkdtempSync(join(tmpdir(), 'spare-bench-'));
const begin = performance.now();

function progress(line: string): void {
  const seconds = ((performance.now() - begin) / 1000).toFixed(0).padStart(5);
  process.stdout.write(`${seconds} s  ${line}\n`);
}

const comparisons: Comparison[] = [];
const maskings: Masking[] = [];
const rotations: RotationResult[] = [];
const verdicts: Verdict[] = [];
const domains: DomainFigures[] = [];

async function startAll(service: Service, modes: readonly ModeName[]): Promise<RunningMode[]> {
  const running: RunningMode[] = [];
  for (const mode of modes) {
    progress(`starting ${service.name}, ${mode}`);
    running.push(await startMode(mode, service, join(folder, `${service.name}-${mode}`)));
  }
  return running;
}

async function throughput(generator: Generator, running: RunningMode[], workload: Workload): Promise<void> {
  const { rounds, seconds } = settings;
  const pace = { rounds, seconds, requestsMax: Infinity };
  const comparison = await compare(generator, running, workload, pace, progress);
  comparisons.push(comparison);
  verdicts.push(...judgeThroughput(comparison));
}

async function oneClient(
  generator: Generator,
  running: RunningMode[],
  name: string,
  path: string,
): Promise<void> {
  const { rounds, seconds, sequential } = settings;
  const workload: Workload = {
    name,
    modes: MODES,
    scripts: () => [[{ bytes: request('GET', path), status: 200 }]],
  };
  const pace = { rounds, seconds, requestsMax: sequential };
  const comparison = await compare(generator, running, workload, pace, progress);
  comparisons.push(comparison);
  verdicts.push(...judgeLatency(comparison));
}

async function stopAll(running: readonly RunningMode[]): Promise<void> {
  await Promise.all(running.map((mode) => mode.stop()));
}

async function conduit(generator: Generator): Promise<void> {
  const { connections, parts } = settings;
  const modes: ModeName[] = parts.includes('conduit') ? [...MODES, 'bare-default'] : [...MODES];
  const running = await startAll(CONDUIT, modes);
  const tokens = new Map<ModeName, string[]>();
  for (const mode of running) {
    progress(`seeding conduit, ${mode.name}`);
    tokens.set(mode.name, await seed(mode.port));
  }
  if (parts.includes('conduit')) {
    const reads = readScripts(connections);
    await throughput(generator, running, { name: 'conduit reads', modes: MODES, scripts: () => reads });
    await throughput(generator, running, {
      name: 'conduit writes',
      modes,
      scripts: (mode) => writeScripts(connections, tokens.get(mode) ?? []),
    });
  }
  if (parts.includes('latency')) {
    await oneClient(generator, running, 'conduit GET article, sequential', '/api/articles/seeded-7');
  }
  await stopAll(running);
}

async function json(generator: Generator): Promise<void> {
  const { connections, parts } = settings;
  const running = await startAll(JSON_SERVICE, MODES);
  if (parts.includes('json')) {
    const step: Step = { bytes: request('GET', '/'), status: 200 };
    const scripts = Array.from({ length: connections }, () => [step]);
    await throughput(generator, running, { name: 'json GET', modes: MODES, scripts: () => scripts });
  }
  if (parts.includes('latency')) await oneClient(generator, running, 'json GET, sequential', '/');
  await stopAll(running);
}

async function masking(
  generator: Generator,
  service: Service,
  events: number,
  loadOf: (mode: RunningMode) => Promise<MaskingLoad>,
): Promise<void> {
  if (events === 0) return;
  progress(`starting ${service.name}, spare, to be broken`);
  const own = join(folder, `${service.name}-broken`);
  mkdirSync(own);
  const config = join(own, 'lying.config.mjs');
  writeLyingConfig(service, config);
  const mode = await startSpare(service, own, config);
  const load = await loadOf(mode);
  const measured = await measureMasking(generator, mode, load, events, (line) =>
    progress(`masking, ${service.name}: ${line}`),
  );
  const result = { service: service.name, events: measured };
  maskings.push(result);
  verdicts.push(...judgeMasking(result));
  await mode.stop();
}

/** Reads and writes, so that woken replicas have something to apply. */
async function jsonLoad(): Promise<MaskingLoad> {
  const script = [
    { bytes: request('GET', '/'), status: 200 },
    { bytes: request('POST', '/count'), status: 200 },
  ];
  const scripts = Array.from({ length: MASKING_CONNECTIONS }, () => script);
  return { scripts, pauseMs: MASKING_PAUSE_MS, target: '/' };
}

async function conduitLoad(mode: RunningMode): Promise<MaskingLoad> {
  const tokens = await seed(mode.port);
  const half = MASKING_CONNECTIONS / 2;
  const scripts = [...readScripts(half), ...writeScripts(half, tokens)];
  return { scripts, pauseMs: 2 * MASKING_PAUSE_MS, target: '/api/tags' };
}

async function rotation(generator: Generator): Promise<void> {
  progress('starting conduit, spare, to be rotated');
  const own = join(folder, 'conduit-rotated');
  const mode = await startSpare(CONDUIT, own);
  progress('seeding conduit, spare');
  const tokens = await seed(mode.port);
  const { connections } = settings;
  for (const workload of [
    { name: 'conduit reads', scripts: readScripts(connections) },
    { name: 'conduit writes', scripts: writeScripts(connections, tokens) },
  ]) {
    const result = await measureRotation(generator, mode, own, workload, settings.rotation, progress);
    rotations.push(result);
    verdicts.push(...judgeRotation(result));
  }
  await mode.stop();
}

function machine(): Record<string, unknown> {
  const [cpu] = cpus();
  return {
    cpus: cpus().length,
    cpu: cpu?.model ?? 'unknown',
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    loadAverageBefore: loadavg()[0],
  };
}

async function measure(): Promise<void> {
  const { parts, events } = settings;
  const generator = new Generator();
  if (parts.includes('json') || parts.includes('latency')) await json(generator);
  if (parts.includes('conduit') || parts.includes('latency')) await conduit(generator);
  if (parts.includes('masking')) {
    await masking(generator, JSON_SERVICE, events.json, jsonLoad);
    await masking(generator, CONDUIT, events.conduit, conduitLoad);
  }
  if (parts.includes('rotation')) await rotation(generator);
  if (parts.includes('domains')) domains.push(...(await measureDomains(folder, settings.domains, progress)));
  await generator.end();
}

function save(at: Date, before: Record<string, unknown>): string {
  const name = `${at.toISOString().replace(/[:.]/g, '-')}.json`;
  const file = resolve(settings.out ?? join(import.meta.dirname, 'results', name));
  mkdirSync(dirname(file), { recursive: true });
  const all = {
    at: at.toISOString(),
    machine: before,
    settings,
    comparisons,
    maskings,
    rotations,
    domains,
    verdicts,
  };
  writeFileSync(file, `${JSON.stringify(all, null, 2)}\n`);
  if (rotations.length > 0) writeFileSync(file.replace(/(\.json)?$/, '.svg'), plot(rotations));
  return file;
}

async function cleanUp(): Promise<void> {
  await endAll();
  rmSync(folder, { recursive: true, force: true });
}

if (Number(process.versions.node.split('.')[0]) < NODE_NEEDED) {
  throw new Error(
    `Node ${NODE_NEEDED} is needed, as \`npm run bench\` finds it; this is ${process.version}.`,
  );
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    progress('interrupted: ending what was started');
    void cleanUp().then(() => process.exit(130));
  });
}
try {
  const at = new Date();
  const before = machine();
  await measure();
  process.stdout.write(`\n${report(comparisons, maskings, rotations, domains, verdicts)}\n\n`);
  process.stdout.write(`figures: ${save(at, before)}\n`);
} finally {
  await cleanUp();
}
