/** RealWorld's own API suite against a Conduit behind Spare: 32 requests, 311 assertions. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CONDUIT, ROOT } from './spare.ts';

export interface SuiteResult {
  readonly assertions: number;
  /** Failed assertions and failed requests, as the suite words them. */
  readonly failures: readonly string[];
}

interface NewmanReport {
  readonly run: {
    readonly stats: { readonly assertions: { readonly total: number } };
    readonly failures: readonly {
      readonly error: { readonly message: string };
      readonly source: { readonly name: string };
    }[];
  };
}

let users = 0;

/** `delayMs` between requests, so that something can be done midway. */
export async function conduitSuite(url: string, delayMs = 1): Promise<SuiteResult> {
  const folder = mkdtempSync(join(tmpdir(), 'spare-suite-'));
  const report = join(folder, 'report.json');
  const user = `u${process.pid}x${Date.now()}x${users++}`;
  const variables = { APIURL: `${url}/api`, USERNAME: user, EMAIL: `${user}@mail.com`, PASSWORD: 'password' };
  const child = spawn(
    process.execPath,
    [
      join(ROOT, 'node_modules/newman/bin/newman.js'),
      'run',
      join(CONDUIT, 'Conduit.postman_collection.json'),
      '--delay-request',
      String(delayMs),
      ...Object.entries(variables).flatMap(([name, value]) => ['--global-var', `${name}=${value}`]),
      '--reporters',
      'json',
      '--reporter-json-export',
      report,
    ],
    { stdio: 'ignore' },
  );
  await once(child, 'exit');
  const { run } = JSON.parse(readFileSync(report, 'utf8')) as NewmanReport;
  rmSync(folder, { recursive: true });
  return {
    assertions: run.stats.assertions.total,
    failures: run.failures.map(({ error, source }) => `${source.name}: ${error.message}`),
  };
}
