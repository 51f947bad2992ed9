/** Where a peer is installed, keeps its files and finds its upstream. */
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface PeerFolders {
  /** A folder for the files of this run. */
  readonly dir: string;
  /** A folder that is kept between runs, outside the repository. */
  readonly cacheDir: string;
  readonly upstreamPort: number;
}

/** By the convention of the XDG base directories. */
export const CACHE_DIR = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'tollgate-bench');
