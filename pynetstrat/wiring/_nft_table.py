"""The table of egress and published ports, which all callers and processes of a host share.

A change that depends on what is in the table is sent with the generation of nf_tables in which that
was read. If another program has changed nf_tables since, the kernel refuses it, and everything is
read again.
"""

from __future__ import annotations

from errno import EADDRINUSE, EEXIST, ENOENT

from .._native.nft import HOSTS, NEIGHBOURS, RULES, SETS, Element, NftSocket, Transaction
from .._partial import partial
from ..errors import KernelError, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .._native.nft import Chain

    Elements = Mapping[int, Sequence[Element]]

# Of a change that other programs overtake: one of many at once may be overtaken by all others.
# The deadline counts, too.
_MAX_TRIES = 1000
_ERESTART = 85  # the generation is not the current one; Python's module errno lacks it
_PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp"}
# Sets whose elements hold for an address, whatever its owner.
_SHARED = {HOSTS, HOSTS + 1, NEIGHBOURS, NEIGHBOURS + 1}


class NftTable:
    """The table, by a socket in the host namespace.

    Attributes:
        made: whether this object has made the table. It is set before the change.
    """

    def __init__(self, nft: NftSocket) -> None:
        self._nft = nft
        self.made = False

    # ---- additions ----

    def add(self, additions: Elements) -> None:
        """Adds elements, in one message if the table exists.

        If the table does not exist it is made. If something of it is missing, it is made again,
        with the elements that it has.

        Raises:
            KernelError: an element is there already, or overlaps one (EEXIST), or the kernel
                refused the change.
        """
        for attempt in range(_MAX_TRIES):
            try:
                self._nft.transact(_adding(Transaction(), additions))
            except KernelError as error:
                if error.errno != ENOENT:
                    raise
            else:
                return
            made, self.made = self.made, True
            try:
                self._nft.transact(_adding(Transaction().add_table(), additions))
            except KernelError as error:
                if error.errno != EEXIST or error.operation != "NFT_MSG_NEWTABLE":
                    raise
                self.made = made
            else:
                return
            if attempt > 0:  # at the first attempt another process may just have made the table
                self.restore()
        raise _unsettled()

    def restore(self) -> None:
        """Makes the table again with the elements that it has, in one change."""
        exists = False
        for _ in range(_MAX_TRIES):
            try:
                self.change(partial(self._restore, exists=exists))
            except KernelError as error:
                failed = error.errno, error.operation
                if failed == (EEXIST, "NFT_MSG_NEWTABLE"):
                    exists = True  # but it has no chain
                elif failed == (ENOENT, "NFT_MSG_DELTABLE"):
                    exists = False  # another program has just deleted it
                else:
                    raise
            else:
                return
        raise _unsettled()

    def _restore(self, generation: int, *, exists: bool) -> Transaction:
        elements = {each: self._nft.elements(each) for each in SETS}
        transaction = Transaction(generation)
        if exists or self._exists():
            transaction.delete_table()
        return _adding(transaction.add_table(), elements)

    def claim(
        self,
        owner: str,
        additions: Elements,
        is_left_over: Callable[[Element], bool] = lambda _: False,
        displaced: dict[int, list[Element]] | None = None,
    ) -> None:
        """Adds elements of an owner, in place of those that it left over.

        An element that only says something of an address passes to the new owner: a container that
        ended without a tear-down may have had the address before.

        Parameters:
            is_left_over: whether an element of the same owner is not in use any more.
            displaced: gets the elements that are deleted, by their sets, before that happens.

        Raises:
            KernelError: a port is taken (EADDRINUSE; the hint names its owner), or the kernel
                refused the change.
        """

        def replace(generation: int) -> Transaction:
            transaction = Transaction(generation)
            for each, elements in additions.items():
                keys = {_key(each, element): element for element in elements}
                there = [one for one in self._nft.elements(each) if _key(each, one) in keys]
                for taken in there:
                    if each in _SHARED or (taken.owner == owner and is_left_over(taken)):
                        continue
                    raise _taken(taken)
                transaction.delete(each, there)
                if displaced is not None:
                    displaced[each] = there
            return _adding(transaction, additions)

        for _ in range(_MAX_TRIES):
            try:
                self.add(additions)
            except KernelError as error:
                if error.errno != EEXIST:
                    raise
            else:
                return
            try:
                self.change(replace)
            except KernelError as error:
                if error.errno != ENOENT:  # otherwise another program has just deleted the table
                    raise
            else:
                return
        raise _unsettled()

    # ---- deletions ----

    def withdraw(
        self,
        sets: Iterable[int],
        matches: Callable[[Element], bool],
        *,
        drop: bool = False,
    ) -> None:
        """Deletes elements. Does nothing if none matches.

        Parameters:
            sets: the sets that are searched.
            matches: whether an element is deleted.
            drop: whether the table is deleted if it is empty then.
        """

        def delete(generation: int) -> Transaction | None:
            found = {each: self._nft.elements(each) for each in (SETS if drop else sets)}
            gone = {each: list(filter(matches, found[each])) for each in sets}
            if drop and all(len(found[each]) == len(gone.get(each, ())) for each in found):
                return Transaction(generation).delete_table() if self._exists() else None
            if not any(gone.values()):
                return None
            transaction = Transaction(generation)
            for each, elements in gone.items():
                transaction.delete(each, elements)
            return transaction

        self.change(delete)

    def put_back(self, displaced: Elements) -> None:
        """Adds elements again that `claim` has displaced, except where others took their place."""

        def add(generation: int) -> Transaction | None:
            missing = {}
            for each, elements in displaced.items():
                taken = {_key(each, one) for one in self._nft.elements(each)}
                missing[each] = [one for one in elements if _key(each, one) not in taken]
            if not any(missing.values()) or not self._exists():
                return None
            return _adding(Transaction(generation), missing)

        if displaced:
            self.change(add)

    # ---- queries ----

    def elements(self, each: int) -> list[Element]:
        """Returns the elements of a set; none if there is no table."""
        return self._nft.elements(each)

    def chains(self) -> list[Chain]:
        """Returns the chains of all tables."""
        return self._nft.chains()

    def tables_that_name(self, interface: str) -> set[tuple[str, str]]:
        """Returns family and name of each table with a rule that contains an interface's name."""
        return self._nft.tables_that_name(interface)

    def fault(self) -> str:
        """Returns what `restore` would mend; "" if nothing, or if the table does not exist.

        Missing elements are not included.
        """
        own = self._own_chains()
        if not own:
            return ""
        if self._nft.count_rules() != RULES:
            return "rules of the table inet pynetstrat are missing"
        if self._nft.is_dormant():
            return "the table inet pynetstrat is dormant"
        for chain in own:
            if chain.differs:
                return (
                    f"the chain {chain.name} of the table inet pynetstrat has another hook, "
                    "priority or policy"
                )
        return ""

    def _exists(self) -> bool:
        return bool(self._own_chains())

    def _own_chains(self) -> list[Chain]:
        return [one for one in self._nft.chains() if (one.family, one.table) == _OURS]

    # ---- changes that depend on what is there ----

    def change(self, make: Callable[[int], Transaction | None]) -> None:
        """Makes a change that depends on what is in the table.

        Parameters:
            make: takes the generation, reads the table, and returns the change, or None for none.
        """
        for _ in range(_MAX_TRIES):
            transaction = make(self._nft.generation())
            if transaction is None:
                return
            try:
                self._nft.transact(transaction)
            except KernelError as error:
                if error.errno != _ERESTART:
                    raise
            else:
                return
        raise _unsettled()


_OURS = "inet", "pynetstrat"


def _adding(transaction: Transaction, additions: Elements) -> Transaction:
    for each, elements in additions.items():
        transaction.add(each, elements)
    return transaction


def _key(each: int, element: Element) -> tuple[object, ...]:
    """What must be unique in a set. Two subnets of one container's neighbours would overlap."""
    if each in (NEIGHBOURS, NEIGHBOURS + 1):
        return (element.target,)
    return element.address, element.protocol, element.port


def shown_port(element: Element) -> str:
    """Returns a published port as text, such as "192.0.2.1:53/udp"."""
    address = element.address.partition("/")[0]
    at = f"{f'[{address}]' if ':' in address else address}:" if address else ""
    return f"{at}{element.port}/{_PROTOCOLS.get(element.protocol, element.protocol)}"


def _taken(element: Element) -> KernelError:
    """Makes the error for a port that has another owner."""
    port = shown_port(element)
    whose = f"by {quote(element.owner)}" if element.owner else "by an element without an owner"
    hint = f"the port {port} is already published {whose}: choose another port, or tear that down"
    return KernelError(EADDRINUSE, "publish", hint=hint)


def _unsettled() -> KernelError:
    hint = "other programs kept changing nf_tables: try again"
    return KernelError(_ERESTART, "publish", hint=hint)
