/**
 * Whether a name is that of a file or folder which a file manager, an editor or Python leaves beside those of the user.
 * Git ignores most of them, so that they stay where the files beside them are gone.
 */
export function isLitter(name: string): boolean {
  return LITTER.some((pattern) => pattern.test(name));
}

const LITTER = [
  // macOS and Windows.
  /^\.DS_Store$/,
  /^\._/,
  /^Thumbs\.db$/i,
  /^desktop\.ini$/i,
  // Editors: emacs and gedit, emacs, vim, and tools that keep what they replace.
  /~$/,
  /^\.?#/,
  /\.sw[a-p]$/,
  /\.(bak|orig|rej|tmp)$/,
  // Python and its tools.
  /^__pycache__$/,
  /\.py[co]$/,
  /^\.(pytest|mypy|ruff)_cache$/,
  /^\.ipynb_checkpoints$/,
];
