/** Tollgate's logo: a post with a raised barrier. */
export function Mark() {
  return (
    <svg viewBox="0 0 24 24" width="22" height="22" fill="none" aria-hidden="true" stroke-linecap="round">
      <path d="M5 20V8M3 20h6" stroke="currentColor" stroke-width="2.4" />
      <path d="M5 10 20 4" class="stroke-accent" stroke-width="3" />
    </svg>
  );
}
