/** The types of a project detector: what it reads, and what it finds. */

export interface Commands {
  readonly setup?: string | undefined;
  readonly validate?: string | undefined;
  readonly test?: string | undefined;
}

export interface Detected extends Commands {
  readonly language: string;
  readonly packageManager?: string | undefined;
  /** The name that the project gives itself. */
  readonly name?: string | undefined;
  /** The files that it was read from. */
  readonly files: readonly string[];
}

/** The top folder of the repository, as detectors see it. */
export interface Folder {
  readonly names: readonly string[];
  has(...names: readonly string[]): boolean;
  /** Returns those of the names that exist. */
  existing(...names: readonly string[]): string[];
  /** Returns an empty string when the file does not exist. */
  text(name: string): Promise<string>;
}

export type Detector = (folder: Folder) => Promise<Detected | undefined>;
