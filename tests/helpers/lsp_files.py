"""The files of the folder in which an editor works."""

from __future__ import annotations

SOURCE = """\
tax 1
source ground v1

title: A small source

[flat]
0  road   #804080  aka street
1  grass  #98FB98              # short or long
[vehicle.small]
2  car    #00008e
[vehicle.large]
3  truck  #000046  aka lorry   # 🚚 is one
"""
DATASET = """\
tax 1
dataset track v1 -> ground v1

encoding: id
void:     255

[things]
1,2  way "the way"  #102030  aka path  ~ road grass void  # 🚗 parks here ~ often
3    vehicles       #405060  > @vehicle
4    lawn                    < grass
5    lorry                   -> void                      # too rare
"""
MAP = 'tax 1\nmap track v1 -> ground v1\nway < road\nvehicles ~ car truck\n"lawn" < grass\nlorry < truck\n'
OTHER = "tax 1\ndataset other v1 -> ground v1\n1  tarmac  < road\n2  street2  < street  # through the alias\n"
HEAD = "tax 1\ndataset x v1 -> ground v1\n"
