/** The folder where a run's evidence is kept, on the host that ran it. */

export interface EvidenceFolder {
  readonly path: string;
  /** Keeps a file: in the folder at once, in the artifacts when the run ends. The same name again replaces it. */
  write(name: string, content: string | Buffer, mediaType: string): Promise<void>;
}
