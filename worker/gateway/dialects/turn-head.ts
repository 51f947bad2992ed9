/** The facts about its turn of a stored conversation that an answer repeats (worker/gateway/stored-responses). */

export interface TurnHead {
  /** The response that the request continues; null: none. */
  readonly previousResponseId: string | null;
  /** The secret part of the response's id; null: the response is not stored. */
  readonly secret: string | null;
}
