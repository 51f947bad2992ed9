/** The largest body of a request: 4 MiB holds the text of a full context several times over. */
export const BODY_BYTES_MAX = 4 * 1024 * 1024;
