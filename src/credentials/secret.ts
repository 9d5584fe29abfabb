/** A value that must not be seen: it prints, serialises and inspects as `[secret]`, and only `reveal` gives it out. */
import { inspect } from 'node:util'

export const secretMark = '[secret]'

export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The value itself, for the one place that needs it. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return secretMark
  }

  toJSON(): string {
    return secretMark
  }

  [inspect.custom](): string {
    return secretMark
  }
}
