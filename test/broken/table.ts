/** What was seen to fail, for `docs/`. */
import type { Break } from './break.ts';

export interface Seen {
  readonly broken: Break;
  readonly failed: readonly string[];
}

function row({ broken, failed }: Seen): string {
  const { promise, test, file, what } = broken;
  const [first = ''] = failed;
  const more = failed.length > 1 ? ` and ${failed.length - 1} more` : '';
  return `| ${[promise, `\`${test}\``, `\`${file}\``, what, `${first.replaceAll('|', '/')}${more}`].join(' | ')} |`;
}

export function document(seen: readonly Seen[]): string {
  return `# Broken on purpose

A test that never fails proves nothing. Each line is a small wrong edit of the product, made in a copy, and what failed of the test
that the promise names ([PROMISES.md](PROMISES.md)); without the edit it passes at every test run. Bugs that the simulator
must find are in [PLANTED-BUGS.md](PLANTED-BUGS.md).

Written by \`npm run broken -- --write\`; the edits are in \`test/broken/catalogue.ts\` and \`whole.ts\`.

| promise | test | edit of | what is wrong then | what failed |
|---|---|---|---|---|
${seen.map(row).join('\n')}
`;
}
