/** Exit codes of the commands, and the error that carries one. */

export const EXIT_OK = 0
/** The command ran, and what it looked at is not as it should be. */
export const EXIT_FOUND = 1
/** The command could not run: a bad flag, a file that cannot be read, a gateway that cannot be reached. */
export const EXIT_UNUSABLE = 2

/** Ends the command with a message for its user: no stack trace. */
export class CommandFailure extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode: number = EXIT_UNUSABLE) {
    super(message)
    this.name = 'CommandFailure'
    this.exitCode = exitCode
  }
}
