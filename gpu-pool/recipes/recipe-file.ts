export interface RecipeFile {
  name: string;
  /** Permissions; 0o600 marks a file with secrets. */
  mode: 0o600 | 0o644 | 0o755;
  text: string;
}
