/** Durations as people write them: `90s`, `15m`, `24h`, `7d`. */

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Null when it is none, or zero. */
export function parseDuration(text: string): number | null {
  const [, number = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?) *(ms|[smhd])$/.exec(text) ?? [];
  const ms = Number(number) * (UNITS_MS[unit] ?? 0);
  return ms > 0 ? ms : null;
}
