/**
 * Can somebody read what happened? A lie, and a reply that is left to chance, leave evidence that names the field; who is
 * to be told is told; and the rest of the service goes on.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CaseView } from '../src/evidence/read.ts';
import { Call, Place } from './support/call.ts';
import { PATIENCE_MS, ROOT, SERVICES, Spare } from './support/spare.ts';

const QUIRKS = { folder: SERVICES, command: ['node', 'quirks.mjs'], state: ['quirks.db'] };

async function caseOf(spare: Spare, id: number): Promise<CaseView> {
  return (await (await fetch(`${spare.admin}/incidents/${id}`)).json()) as CaseView;
}

/** Once its votes are compared, which is done beside everything else. */
async function compared(spare: Spare, id: number): Promise<CaseView> {
  await spare.until(
    'votes are compared',
    PATIENCE_MS,
    async () => (await caseOf(spare, id)).comparisons !== null,
  );
  return await caseOf(spare, id);
}

async function shown(spare: Spare, ...args: string[]): Promise<string> {
  await using call = new Call(ROOT, ['incidents', ...args, '--data', spare.data]);
  assert.equal(await call.end(), 0, call.stderr);
  return call.stdout;
}

test('P5 P6: one route leaves a field to chance: all others are served, the evidence names the field and blames nobody', async () => {
  await using spare = await new Spare(QUIRKS).start();
  const over = new AbortController();
  let [served, bad] = [0, 0];
  const others = Array.from({ length: 4 }, async () => {
    while (!over.signal.aborted) {
      const reply = await fetch(spare.url, { method: 'POST' });
      assert.equal(reply.status, 200);
      await reply.text();
      served++;
    }
  });
  for (; bad < 3; bad++) {
    const reply = await fetch(`${spare.url}/made`);
    assert.equal(reply.status, 502);
    assert.match(await reply.text(), /do not agree .*\(the body differs from byte \d+ on; incident \d+\)/);
  }
  over.abort();
  await Promise.all(others);
  assert.equal(
    await (await fetch(spare.url)).text(),
    String(served),
    'nothing but what was asked was counted',
  );
  const incidents = await spare.incidents();
  assert.deepEqual(
    incidents.map(({ kind, replica }) => [kind, replica]),
    Array.from({ length: bad }, () => ['no-agreement', null]),
  );
  const { evidence, comparisons } = await compared(spare, 1);
  assert.equal(evidence?.request?.target, '/made');
  assert.ok((evidence?.votes.length ?? 0) >= 3, 'all that voted');
  assert.ok(comparisons !== null && comparisons.length >= 2);
  for (const { of, differences } of comparisons) {
    assert.equal(of, 'reply');
    assert.deepEqual(
      differences.map(({ where }) => where),
      ['body $.thing.made[0].by'],
    );
  }
  assert.match(await shown(spare), /^1 .* skipped {2}no-agreement: /);
  assert.match(await shown(spare, 'show', '1'), /GET \/made\n[^]*body \$\.thing\.made\[0\]\.by: /);
  const [, section = ''] =
    /^if again .*"(.*)" in docs\/OPERATIONS\.md$/m.exec(await shown(spare, 'show', '1')) ?? [];
  assert.ok(readFileSync(join(ROOT, 'docs/OPERATIONS.md'), 'utf8').includes(`\n## ${section}\n`), section);
});

test('P6: the evidence of a lie has the request, all votes, the wrong field; command and webhook are told of it', async () => {
  const told: string[] = [];
  await using listener = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      told.push(text);
      response.end();
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const write = `require('fs').writeFileSync(process.env.SPARE_EVIDENCE + '/told', require('fs').readFileSync(0))`;
  await using spare = await new Spare({
    ...QUIRKS,
    variants: [{}, { env: { LIE: 'eve' } }, {}],
    onIncident: { command: ['node', '-e', write], webhook: `http://127.0.0.1:${port}/` },
  }).start();
  const headers = { 'x-asked-by': 'me', authorization: 'my secret', cookie: 'id=my secret' };
  const who = await fetch(`${spare.url}/who`, { headers });
  assert.deepEqual(await who.json(), { users: [{ name: 'ann' }, { name: 'bob' }] });
  const { incident, evidence, comparisons } = await compared(spare, 1);
  assert.equal(incident.replica, 'r1');
  assert.equal(evidence?.request?.target, '/who');
  assert.equal(evidence?.request?.headers.includes('me'), true);
  const liar = evidence?.votes.find((vote) => vote.replica === 'r1');
  assert.ok(liar !== undefined && liar.reply !== evidence?.decided?.reply);
  assert.equal(liar.update, evidence?.decided?.update);
  assert.deepEqual(comparisons, [
    {
      of: 'reply',
      replicas: ['r1'],
      against: 'the decided one',
      differences: [{ where: 'body $.users[1].name', is: '"eve"', instead: '"bob"' }],
      more: false,
      unnamed: null,
    },
  ]);
  await spare.until('all are told', PATIENCE_MS, () => told.length > 0);
  assert.deepEqual((JSON.parse(told[0] ?? '') as CaseView).comparisons, comparisons);
  for (const shownTo of [told[0], JSON.stringify(evidence), await shown(spare, 'show', '1')])
    assert.doesNotMatch(shownTo ?? '', /my secret/);
  const file = join(spare.data, 'incidents/1/told');
  await spare.until('the command has run', PATIENCE_MS, () => {
    try {
      return readFileSync(file, 'utf8') === told[0];
    } catch {
      return false;
    }
  });
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`P6: of a lie just before ${signal} somebody is told, with the wrong field`, async () => {
    const write = `fs.appendFileSync(process.env.SPARE_EVIDENCE + '.told', fs.readFileSync(0) + '\\n')`;
    await using spare = await new Spare({
      ...QUIRKS,
      variants: [{}, { env: { LIE: 'eve' } }, {}],
      onIncident: { command: ['node', '-e', write] },
    }).start();
    await fetch(`${spare.url}/who`);
    const folder = join(spare.data, 'incidents/1');
    await spare.until('its folder is there', PATIENCE_MS, () => existsSync(folder));
    await spare.signal(signal);
    const isTold = (): boolean => existsSync(`${folder}.told`);
    assert.equal(isTold(), signal === 'SIGTERM');
    await spare.start();
    await spare.until('it is told', PATIENCE_MS, isTold);
    await spare.signal('SIGTERM');
    // Told again, where the machine was too busy to compare in the last seconds.
    const told = readFileSync(`${folder}.told`, 'utf8').trim().split('\n').at(-1) ?? '';
    const found = (JSON.parse(told) as CaseView).comparisons?.[0]?.differences;
    assert.deepEqual(found, [{ where: 'body $.users[1].name', is: '"eve"', instead: '"bob"' }]);
  });
}

test('P6: of copies that end as they start somebody is told, though the group ends with them', async () => {
  using place = new Place();
  const command = ['/bin/sh', '-c', 'sleep 0.3; cat > "$SPARE_INCIDENT.told"'];
  place.configure({
    command: [process.execPath, '-e', 'process.exit(7)'],
    state: [],
    onIncident: { command },
  });
  await using group = place.run();
  assert.equal(await group.end(), 1);
  const told = place.files().filter((file) => file.endsWith('.told'));
  const incidents = group.stdout.match(/^incident .*/gm) ?? [];
  assert.ok(incidents.length > 0);
  assert.equal(told.length, incidents.length, group.stdout);
});

test('P7: a lie cannot write lines of its own into what the manager and `spare incidents` say', async () => {
  const LIE = '\nrepaired   2 active, 2 suspended, after 0.1 s\nready\u2028ready\u202e';
  await using spare = await new Spare({ ...QUIRKS, variants: [{}, { env: { LIE } }, {}] }).start();
  assert.equal(await (await fetch(`${spare.url}/name`)).text(), 'bob');
  await spare.until('it is told', PATIENCE_MS, () => /^incident {3}1: /m.test(spare.output));
  const [told = ''] = /^incident {3}1: .*$/m.exec(spare.output) ?? [];
  const what =
    /body differs at byte 0: "␊repaired {3}2 active, 2 suspended, after 0\.1 s␊ready.*" instead of "bob"$/;
  assert.match(told, what);
  assert.doesNotMatch(told, /[\p{C}\p{Zl}\p{Zp}]/u);
  assert.doesNotMatch(spare.output, /after 0\.1 s$/m);
  assert.match(await shown(spare), /^1 .*after 0\.1 s␊ready.*\n$/);
  await compared(spare, 1);
  const lines = (await shown(spare, 'show', '1')).split('\n');
  assert.ok(!lines.some((line) => /^(?:repaired|ready)/.test(line)));
  assert.match(lines.find((line) => line.startsWith('what')) ?? '', what);
});

test('P6: the evidence of a wrong write names table, row and column', async () => {
  await using spare = await new Spare({ ...QUIRKS, variants: [{}, { env: { LIE: 'eve' } }, {}] }).start();
  for (let i = 0; i < 5; i++) await fetch(spare.url, { method: 'POST' });
  const reply = await fetch(`${spare.url}/sign`);
  assert.deepEqual(await reply.json(), { lastInsertRowid: 1, changes: 1 });
  const { incident, comparisons } = await compared(spare, 1);
  assert.deepEqual([incident.replica, incident.kind], ['r1', 'update']);
  assert.deepEqual(comparisons, [
    {
      of: 'update',
      replicas: ['r1'],
      against: 'the decided one',
      differences: [{ where: 'table signed, row 1, column name', is: '"eve"', instead: '"bob"' }],
      more: false,
      unnamed: null,
    },
  ]);
});
