//! The part of the account page on which owners and admins look after the people of their accounts.

use minijinja::{Value, context};

use crate::domain::user::Role;

/// An account that the person looks after.
#[derive(Clone, Debug)]
pub(crate) struct TeamItem {
    /// As its forms post it.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) people: Vec<PersonItem>,
    /// Whether there are more people than are shown.
    pub(crate) more: bool,
}

/// Somebody who belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct PersonItem {
    /// As its forms post it.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) role: Role,
    /// Which roles the person who looks may give them; none if they may do nothing about them.
    pub(crate) offered: Vec<Role>,
    /// Whether it is who looks.
    pub(crate) me: bool,
}

/// What the template shows of a team. Forms post `account`, `user` and `csrf` to `members/role` (with `role`) and
/// `members/remove`.
pub(super) fn team(item: &TeamItem) -> Value {
    context! {
        id => item.id.as_str(),
        name => item.name.as_str(),
        people => item.people.iter().map(person).collect::<Vec<_>>(),
        more => item.more,
    }
}

fn person(item: &PersonItem) -> Value {
    context! {
        id => item.id.as_str(),
        name => item.name.as_str(),
        email => item.email.as_str(),
        role => item.role.as_str(),
        offered => item.offered.iter().map(|role| role.as_str()).collect::<Vec<_>>(),
        me => item.me,
    }
}
