/** Decides which releases of SGLang can be sold: those that end the generation when the caller disconnects. */

/**
 * The first release with sglang#35255, which was merged after 0.5.19 was tagged. Before it an aborted stream went
 * on to its last token.
 */
export const VERSION_MIN = '0.5.20';

const [MAJOR_MIN = 0, MINOR_MIN = 0, PATCH_MIN = 0] = VERSION_MIN.split('.').map(Number);
/** PEP 440, as setuptools_scm writes it: `0.5.20rc1`, `0.5.20.post1`, `0.5.21.dev12+g1dd8f6d5a` */
const VERSION = /^v?(\d+)\.(\d+)(?:\.(\d+))?(?:\.?(?:a|b|rc)\d+)?(?:\.post\d+)?(?:\.dev\d+)?(?:\+[\w.]+)?$/;
const PRE_RELEASE = /(?:\d(?:a|b|rc)\d|\.dev\d)/;

/**
 * Judges a version.
 * - old: before VERSION_MIN; that includes the pre-releases and development builds of VERSION_MIN itself, which may
 * lack the fix.
 * - unknown: not a version, or that of a build without git tags (`0.0.0.dev1+gdce8b0606`, slime#1455).
 */
export function judgeVersion(version: string): 'fits' | 'old' | 'unknown' {
  const match = VERSION.exec(version);
  if (match === null) return 'unknown';
  const [major, minor, patch] = [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
  if (major + minor + patch === 0) return 'unknown';
  const ahead = major - MAJOR_MIN || minor - MINOR_MIN || patch - PATCH_MIN;
  if (ahead !== 0) return ahead > 0 ? 'fits' : 'old';
  return PRE_RELEASE.test(version) ? 'old' : 'fits';
}
