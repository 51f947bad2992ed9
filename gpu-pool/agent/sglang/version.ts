/** Decides which releases of SGLang can be sold: those that end the generation when the caller disconnects. */

/**
 * The first release with sglang#35255, which was merged after 0.5.19 was tagged. Before it an aborted stream went
 * on to its last token.
 */
export const VERSION_MIN = '0.5.20';

/**
 * The recommended release, or a newer one. Earlier ones can keep the states of ended requests for ever, and then do not
 * end on SIGTERM: seen with 0.5.20, and not with 0.5.23.
 */
export const VERSION_RECOMMENDED = '0.5.23';

/** PEP 440, as setuptools_scm writes it: `0.5.20rc1`, `0.5.20.post1`, `0.5.21.dev12+g1dd8f6d5a` */
const VERSION = /^v?(\d+)\.(\d+)(?:\.(\d+))?(?:\.?(?:a|b|rc)\d+)?(?:\.post\d+)?(?:\.dev\d+)?(?:\+[\w.]+)?$/;
const PRE_RELEASE = /(?:\d(?:a|b|rc)\d|\.dev\d)/;

/**
 * Judges a version.
 * - outdated: it can be sold, and is older than VERSION_RECOMMENDED.
 * - old: before VERSION_MIN; that includes the pre-releases and development builds of VERSION_MIN itself, which may
 * lack the fix.
 * - unknown: not a version, or that of a build without git tags (`0.0.0.dev1+gdce8b0606`, slime#1455).
 */
export function judgeVersion(version: string): 'fits' | 'outdated' | 'old' | 'unknown' {
  const match = VERSION.exec(version);
  if (match === null) return 'unknown';
  const parts = [match[1], match[2], match[3] ?? 0].map(Number);
  if (parts.every((part) => part === 0)) return 'unknown';
  const isPreRelease = PRE_RELEASE.test(version);
  if (isBefore(parts, isPreRelease, VERSION_MIN)) return 'old';
  return isBefore(parts, isPreRelease, VERSION_RECOMMENDED) ? 'outdated' : 'fits';
}

function isBefore(parts: readonly number[], isPreRelease: boolean, release: string): boolean {
  const wanted = release.split('.').map(Number);
  const at = parts.findIndex((part, index) => part !== wanted[index]);
  return at === -1 ? isPreRelease : parts[at]! < wanted[at]!;
}
