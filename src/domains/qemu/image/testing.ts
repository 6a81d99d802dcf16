/** OCI image layouts for tests, as `skopeo` writes them. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface OciConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly WorkingDir?: string;
}

/** `layers`: folders, the lowest first. Answers the layout's folder, below `base`. */
export async function writeLayout(
  base: string,
  layers: readonly string[],
  config: OciConfig,
): Promise<string> {
  const folder = join(base, 'layout');
  await mkdir(join(folder, 'blobs/sha256'), { recursive: true });
  const put = async (bytes: Buffer): Promise<{ digest: string }> => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    await writeFile(join(folder, 'blobs/sha256', hex), bytes);
    return { digest: `sha256:${hex}` };
  };
  const about = await put(Buffer.from(JSON.stringify({ config })));
  const blobs = [];
  for (const layer of layers) {
    const options = { maxBuffer: 1024 ** 3 };
    blobs.push(await put(execFileSync('tar', ['-czf', '-', '-C', layer, '.'], options)));
  }
  const manifest = await put(Buffer.from(JSON.stringify({ config: about, layers: blobs })));
  await writeFile(join(folder, 'index.json'), JSON.stringify({ manifests: [manifest] }));
  return folder;
}
