/** What is known about a security policy that is in force: that it is loaded, or that it was seen to refuse. */

export interface PolicyProof {
  readonly kind: 'AuthorizationPolicy' | 'RequestAuthentication'
  readonly namespace: string
  readonly name: string
  /**
   * `proven`: a made-up request that it has to refuse was refused by it. `loaded`: it is in force, and no such request
   * could be made up, or it refuses nothing. `failed`: such a request passed, so this program does not do what it says.
   */
  readonly state: 'proven' | 'loaded' | 'failed'
  /** One sentence, for people. */
  readonly because: string
}
