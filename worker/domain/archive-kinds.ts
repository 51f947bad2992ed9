/** The kinds of row that the archive holds. Apart from archive.ts, because the schema of D1 names them in every isolate. */
export const ARCHIVE_KINDS = ['requests', 'ledger'] as const;
export type ArchiveKind = (typeof ARCHIVE_KINDS)[number];
