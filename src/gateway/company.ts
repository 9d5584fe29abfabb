/** Who has called on one connection: whether what its server says of itself can only be about one principal's calls. */
import type { Connection } from './contract.ts'

export class Company {
  readonly connection: Connection
  /** Of the first who called. */
  principal: string | undefined
  private isMixed = false

  constructor(connection: Connection) {
    this.connection = connection
  }

  meet(principal: string): void {
    if (this.principal === undefined) this.principal = principal
    else if (this.principal !== principal) this.isMixed = true
  }

  isOnly(principal: string): boolean {
    return !this.isMixed && this.principal === principal
  }
}
