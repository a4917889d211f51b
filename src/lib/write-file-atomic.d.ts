/** The part of write-file-atomic that is used here: the package has no types of its own. */
declare module 'write-file-atomic' {
  /** Writes to a file beside `path`, syncs it to disk and renames it; a reader sees the old content or the new one. */
  export default function writeFileAtomic(
    path: string,
    data: string | Uint8Array,
    options?: { readonly mode?: number; readonly fsync?: boolean },
  ): Promise<void>
}
