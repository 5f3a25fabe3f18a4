//! Sets of bits that cross the boundary between kernel and processes.

/// Defines a set whose members are single bits of an integer. What a bit means is said at its constant; what bits that
/// have no constant mean is for the set to say.
macro_rules! bit_set {
    (
        $(#[$about:meta])*
        pub struct $name:ident($bits:ty);
        $($(#[$meaning:meta])* $member:ident = $bit:literal;)+
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(transparent)]
        pub struct $name($bits);

        impl $name {
            $($(#[$meaning])* pub const $member: $name = $name(1 << $bit);)+
            /// No member.
            pub const NONE: $name = $name(0);
            /// Every member that exists.
            pub const ALL: $name = $name($(1 << $bit)|+);

            /// The set as a number.
            pub const fn bits(self) -> $bits {
                self.0
            }

            /// Whether every member of `other` is in this set.
            pub const fn contains(self, other: $name) -> bool {
                self.0 & other.0 == other.0
            }

            /// This set where the condition holds, else none.
            #[must_use]
            pub const fn when(self, condition: bool) -> $name {
                if condition { self } else { $name::NONE }
            }
        }

        impl core::ops::BitOr for $name {
            type Output = $name;
            fn bitor(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }
        }

        impl core::ops::BitAnd for $name {
            type Output = $name;
            fn bitand(self, other: $name) -> $name {
                $name(self.0 & other.0)
            }
        }
    };
}

pub(crate) use bit_set;
