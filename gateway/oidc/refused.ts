/** A token that is not taken; the message says why, for the log only. */
export class RefusedToken extends Error {
  constructor(reason: string) {
    super(reason)
    this.name = 'RefusedToken'
  }
}
