/**
 * Compiles the agent, what its service starts with, and all that they import, to a few files of plain JavaScript in `dist`: to find,
 * read and strip some hundred modules takes longer than all else that an agent does to start, and would be done in every domain.
 * `npm ci` runs this through the `prepare` script.
 *
 * J2. `dist` appears whole or not at all.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BuildOptions, buildSync, type BuildResult } from 'esbuild';
import { COMPILED, digestOfFile, SOURCES } from './compiled.ts';

/** Packages that are no modules ask for Node's own parts by it. */
const REQUIRE =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

/** `root`: the folder of Spare itself. Throws an Error that says what is wrong with the sources. */
export function compileAgent(root: string): void {
  const target = join(root, COMPILED);
  const draft = `${target}.${process.pid}`;
  const build = (options: BuildOptions): BuildResult<{ metafile: true }> =>
    buildSync({
      ...options,
      absWorkingDir: root,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'esnext',
      metafile: true,
    });
  try {
    mkdirSync(draft);
    const built = [
      // What it imports only later stays in files of its own.
      build({
        entryPoints: ['src/replica/agent.ts'],
        outdir: join(draft, 'replica'),
        splitting: true,
        banner: { js: REQUIRE },
      }),
      build({
        entryPoints: ['src/replica/determinism/node.mjs'],
        outfile: join(draft, 'replica/determinism/node.mjs'),
      }),
    ];
    const paths = built.flatMap(({ metafile }) => Object.keys(metafile.inputs));
    const sources = Object.fromEntries(
      paths.sort().map((path) => [path, digestOfFile(join(root, path))] as const),
    );
    writeFileSync(join(draft, SOURCES), `${JSON.stringify(sources, null, 2)}\n`);
    rmSync(target, { recursive: true, force: true });
    renameSync(draft, target);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  compileAgent(join(import.meta.dirname, '../..'));
  console.log(`spare: the agent compiled to ${COMPILED}`);
}
